# natsserver.py: a NATS server of a test program's own
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

    It ends with the thread that started it, however that ends.
    """

    def __init__(self, config=''):
        self.directory = tempfile.mkdtemp(prefix='gmsgrouter-nats-')
        file = Path(self.directory) / 'server.conf'
        file.write_text(f'listen: "127.0.0.1:-1"\nports_file_dir: "{self.directory}"\n'
                        f'jetstream {{ store_dir: "{self.directory}/store" }}\n{config}', encoding='utf-8')
        self._process = subprocess.Popen(
            ['setpriv', '--pdeathsig', 'KILL', os.environ['GMSG_TEST_NATS_SERVER'], '-c', file],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.url = self._wait_for_url()

    def _wait_for_url(self):
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline and self._process.poll() is None:
            for file in Path(self.directory).glob('*.ports'):
                # It may still be incomplete.
                try:
                    return json.loads(file.read_text(encoding='utf-8'))['nats'][0]
                except ValueError:
                    pass
            time.sleep(0.01)
        self.close()
        raise AssertionError('the NATS server did not start')

    def close(self):
        """Kills it, and removes its files."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.directory)
