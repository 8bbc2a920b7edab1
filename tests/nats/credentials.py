#!/usr/bin/python3
# credentials.py: makes an operator of NATS, an account and users, as nsc does
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""Writes into a directory jwt.conf, for the server, and the users' files: router.creds and worker.creds, with the
permissions of docs/examples/nats/users.conf, and those of a stranger, whom the server does not know: stranger.creds
and stranger.seed.
"""

import base64
import binascii
import json
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# The prefixes of keys: these bits make the first letter of the text.
OPERATOR, ACCOUNT, USER, SEED = (ord(letter) - ord('A') << 3 for letter in 'OAUS')

PERMISSIONS = {
    'router': {'pub': {'allow': ['gmsg.>', '$JS.API.>']}, 'sub': {'allow': ['gmsg.>']}},
    'worker': {'pub': {'allow': ['gmsg.*.d.*', 'gmsg.*.u.*']}, 'sub': {'allow': ['gmsg.*.r.>']}},
    'stranger': {'pub': {}, 'sub': {}},
}

CREDS = '''-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------
'''


def openssl(*arguments):
    return subprocess.run(['openssl', *arguments], stdout=subprocess.PIPE, check=True).stdout


def encode(data):
    """Returns a key as text, with its checksum."""
    return base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, 'little')).decode().rstrip('=')


def encode_url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip('=')


class Key:
    """A pair of keys, which signs."""

    def __init__(self, directory, kind):
        self._file = Path(directory) / f'{id(self)}.der'
        openssl('genpkey', '-algorithm', 'ed25519', '-outform', 'DER', '-out', self._file)
        public = openssl('pkey', '-inform', 'DER', '-in', self._file, '-pubout', '-outform', 'DER')
        self.public = encode(bytes([kind]) + public[-32:])
        self.seed = encode(bytes([SEED | kind >> 5, (kind & 31) << 3]) + self._file.read_bytes()[-32:])

    def make_jwt(self, name, subject, claims):
        payload = {'jti': secrets.token_hex(), 'iat': int(time.time()), 'iss': self.public, 'name': name,
                   'sub': subject.public, 'nats': {**claims, 'version': 2}}
        text = '.'.join(encode_url(json.dumps(part).encode())
                        for part in ({'typ': 'JWT', 'alg': 'ed25519-nkey'}, payload))
        signed = self._file.with_suffix('.text')
        signed.write_text(text, encoding='utf-8')
        return f'{text}.{encode_url(openssl("pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", self._file, "-in", signed))}'


def main(target, scratch):
    operator = Key(scratch, OPERATOR)
    system, account, unknown = (Key(scratch, ACCOUNT) for _ in range(3))
    unlimited = {'wildcards': True, **dict.fromkeys(('subs', 'data', 'payload', 'imports', 'exports', 'conn', 'leaf',
                                                     'mem_storage', 'disk_storage', 'streams', 'consumer'), -1)}
    (target / 'jwt.conf').write_text('\n'.join([
        f'operator: "{operator.make_jwt("operator", operator, {"type": "operator"})}"',
        f'system_account: {system.public}',
        'resolver: MEMORY',
        'resolver_preload {',
        *(f'{key.public}: "{operator.make_jwt(name, key, {"type": "account", "limits": limits})}"'
          for name, key, limits in (('SYS', system, {}), ('account', account, unlimited))),
        '}', '']), encoding='utf-8')

    for name, permissions in PERMISSIONS.items():
        user = Key(scratch, USER)
        signer = unknown if name == 'stranger' else account
        jwt = signer.make_jwt(name, user, {'type': 'user', 'subs': -1, 'data': -1, 'payload': -1, **permissions})
        (target / f'{name}.creds').write_text(CREDS.format(jwt=jwt, seed=user.seed), encoding='utf-8')
        (target / f'{name}.seed').write_text(f'{user.seed}\n', encoding='utf-8')


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as directory:
        main(Path(sys.argv[1]), directory)
