# natsserver.py: a NATS server for one program
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

# Only a failing test waits this long.
DEADLINE = 60


class NatsServer:
    """Listens only at the loopback interface, at a port that the system has chosen.

    It ends with the thread that started it, however that ends. A prefix is a command that runs it.
    """

    def __init__(self, config='', prefix=()):
        self.directory = tempfile.mkdtemp(prefix='gmsgrouter-nats-')
        self._config = config
        self._prefix = prefix
        self.start('127.0.0.1:-1')
        self.url = self._wait_for_url()

    def start(self, address):
        file = Path(self.directory) / 'server.conf'
        file.write_text(f'listen: "{address}"\nports_file_dir: "{self.directory}"\n'
                        f'jetstream {{ store_dir: "{self.directory}/store" }}\n{self._config}', encoding='utf-8')
        self.process = subprocess.Popen(
            [*self._prefix, 'setpriv', '--pdeathsig', 'KILL',
             os.environ.get('GMSG_TEST_NATS_SERVER', 'nats-server'), '-c', file],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _wait_for_url(self):
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and self.process.poll() is None:
            for file in Path(self.directory).glob('*.ports'):
                # It may still be incomplete.
                try:
                    return json.loads(file.read_text(encoding='utf-8'))['nats'][0]
                except ValueError:
                    pass
            time.sleep(0.01)
        self.close()
        raise AssertionError('the NATS server did not start')

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        """Kills it, and removes its files."""
        self.kill()
        shutil.rmtree(self.directory)
