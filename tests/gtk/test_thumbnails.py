#!/usr/bin/python3
# test_thumbnails.py: the example thumbnails, a window with a shell script as worker
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'python'))

import taprun  # noqa: E402
from programs import DEADLINE_S  # noqa: E402

DRIVER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'thumbnailsdriver.py')
EXAMPLE = os.environ['THUMBNAILS']
TOOL = os.environ['GMSGROUTER']
# Where the pictures go
PICTURES = os.environ['WINDOW_PICTURES']

N_PICTURES = 12


def make_picture(path, red, green, blue):
    """Writes a picture of one colour, as PPM, whatever its name says."""
    with open(path, 'wb') as stream:
        stream.write(b'P6 320 240 255\n' + bytes([red, green, blue]) * 320 * 240)


@unittest.skipUnless(shutil.which('gdk-pixbuf-thumbnailer'), 'there is no gdk-pixbuf-thumbnailer')
class ThumbnailsTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix='gmsgrouter-')
        self.addCleanup(shutil.rmtree, self.directory)
        self.addCleanup(taprun.end_children)
        self.temporary = os.path.join(self.directory, 'temporary')
        os.mkdir(self.temporary)
        self.folder = os.path.join(self.directory, 'two words')
        os.mkdir(self.folder)
        for number in range(N_PICTURES):
            make_picture(os.path.join(self.folder, f'{number:02} of mine.png'), 20 * number, 255 - 20 * number, 128)

    def run_window(self, scenario, wrapper=None, status=0):
        os.makedirs(PICTURES, exist_ok=True)
        picture = os.path.join(PICTURES, f'thumbnails-{scenario}.png')
        path = [os.path.dirname(TOOL), os.environ['PATH']]
        if wrapper is not None:
            path.insert(0, self.directory)
            with open(os.path.join(self.directory, 'gdk-pixbuf-thumbnailer'), 'w', encoding='utf-8') as stream:
                stream.write(wrapper.replace('REAL', shutil.which('gdk-pixbuf-thumbnailer')))
            os.chmod(stream.name, 0o755)

        process = subprocess.run([sys.executable, DRIVER, EXAMPLE, scenario, self.folder],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 timeout=DEADLINE_S, env={
            **os.environ,
            'PICTURE': picture,
            'PATH': os.pathsep.join(path),
            'TMPDIR': self.temporary,
            'HOME': self.directory,
            'DBUS_SESSION_BUS_ADDRESS': 'disabled:',
            'GDK_BACKEND': 'x11',
            'GSK_RENDERER': 'cairo',
            'GTK_A11Y': 'none',
            'LC_ALL': 'C.UTF-8',
        })
        self.assertEqual(process.returncode, status, process.stderr)
        self.assertEqual(os.listdir(self.temporary), [])
        return json.loads(process.stdout), process.stderr

    def test_finish(self):
        shown, errors = self.run_window('finish')
        self.assertEqual(shown, {'text': 'Done', 'n_pictures': N_PICTURES, 'fraction': 1.0, 'can_stop': False, 'toasts': []})
        self.assertEqual(errors, b'')

        with open(os.path.join(PICTURES, 'thumbnails-finish.png'), 'rb') as stream:
            self.assertGreater(len(stream.read()), 3000)

    def test_stop(self):
        # The third never ends by itself.
        shown, errors = self.run_window('stop', '#!/bin/sh\ncase $2 in ./02*) exec sleep 1000; esac\nexec REAL "$@"\n')
        self.assertEqual(shown, {'text': 'Stopped', 'n_pictures': 2, 'fraction': 2 / N_PICTURES, 'can_stop': False, 'toasts': []})
        self.assertEqual(errors, b'')

    def test_failure(self):
        with open(os.path.join(self.folder, '05 is none.png'), 'wb') as stream:
            stream.write(b'no picture')
        shown, errors = self.run_window('fail')
        self.assertRegex(shown['toasts'][0], r'\Athumbnails\.sh: .* code 1\b')
        self.assertEqual(shown['n_pictures'], 5)
        self.assertIn(b'05 is none', errors)

    def test_close(self):
        shown, errors = self.run_window('close', '#!/bin/sh\nsleep 0.1\nexec REAL "$@"\n')
        self.assertLess(shown['n_pictures'], N_PICTURES)
        self.assertEqual(errors, b'')


if __name__ == '__main__':
    taprun.main()
