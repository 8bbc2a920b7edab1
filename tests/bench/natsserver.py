# natsserver.py: a NATS server of the benchmarks' own
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

DEADLINE_S = 30


class NatsServer:
    """Listens at the loopback interface only, with streams in a directory of its own."""

    def __init__(self, prefix=()):
        self.prefix = prefix
        self.directory = tempfile.TemporaryDirectory(prefix="gmsgrouter-bench-")
        self.port = -1
        self.start()
        self.port = self.read_port()
        self.url = f"nats://127.0.0.1:{self.port}"

    def start(self):
        path = self.directory.name
        self.process = subprocess.Popen([*self.prefix, "nats-server", "-js", "-a", "127.0.0.1", "-p", str(self.port),
                                         "-sd", path, "--ports_file_dir", path],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def read_port(self):
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            for path in Path(self.directory.name).glob("*.ports"):
                if text := path.read_text():
                    return int(json.loads(text)["nats"][0].rsplit(":", 1)[1])
            time.sleep(0.01)
        raise TimeoutError("nats-server does not say at which port it listens")

    def wait_open(self):
        """Returns when somebody can connect."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.001)
        raise TimeoutError("nats-server does not listen")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.kill()
        self.directory.cleanup()
