# thumbnailsdriver.py: runs the example thumbnails in this process, and acts as a user
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

"""thumbnailsdriver.py EXAMPLE SCENARIO FOLDER: prints the final contents of the window as JSON"""

import json
import os
import runpy
import sys
from pathlib import Path

import gi

gi.require_version('Adw', '1')
gi.require_version('GMsg', '1')
from gi.repository import Adw, GLib, Gtk  # noqa: E402

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent.parent))
from screen import write_picture  # noqa: E402

EXAMPLE, SCENARIO = sys.argv[1:3]

# The X server's picture of the screen, and where the window's picture goes
FRAME_BUFFER = Path(os.environ['FRAME_BUFFER'])
PICTURE = Path(os.environ['PICTURE'])

# What the end of the work shows
ENDED = {'finish': 'Done', 'stop': 'Stopped', 'fail': 'Failed'}


def descendants(widget):
    yield widget
    child = widget.get_first_child()
    while child is not None:
        yield from descendants(child)
        child = child.get_next_sibling()


def take_picture(window):
    """Takes a picture of the corner of the screen: PyGObject knows no GskRenderNode."""
    window.get_display().sync()
    write_picture(PICTURE, FRAME_BUFFER.read_bytes(), window.get_width(), window.get_height())


class User:
    def __init__(self):
        self.acted = False
        self.n_frames = 0

    def look_cb(self):
        """Looks at the window, and does what the scenario wants."""
        window = next(iter(Gtk.Window.get_toplevels()), None)
        if window is None:
            return GLib.SOURCE_CONTINUE

        widgets = list(descendants(window))
        bar = next(widget for widget in widgets if isinstance(widget, Gtk.ProgressBar))
        button = next(widget for widget in widgets if isinstance(widget, Gtk.Button) and widget.get_label() == 'Stop')
        title = next(widget for widget in widgets if isinstance(widget, Adw.WindowTitle))
        toasts = [label.get_text() for widget in widgets if widget.get_css_name() == 'toast'
                  for label in descendants(widget) if isinstance(label, Gtk.Label) and label.get_mapped()]
        pictures = [widget for widget in widgets if isinstance(widget, Gtk.Image) and widget.props.file]
        report = {'text': title.get_subtitle(), 'n_pictures': len(pictures), 'fraction': bar.get_fraction(),
                  'can_stop': button.get_visible(), 'toasts': toasts}

        if len(pictures) >= 2 and not self.acted:
            self.acted = True
            if SCENARIO == 'stop':
                button.emit('clicked')
            elif SCENARIO == 'close':
                self.close(window, report)
                return GLib.SOURCE_REMOVE

        if title.get_subtitle() != ENDED.get(SCENARIO) or len(toasts) != (SCENARIO == 'fail'):
            return GLib.SOURCE_CONTINUE

        window.add_tick_callback(self.tick_cb, report)
        return GLib.SOURCE_REMOVE

    def tick_cb(self, window, clock, report):
        """Once the end has been drawn, it is over."""
        self.n_frames += 1
        if self.n_frames < 5:
            window.queue_draw()
            return GLib.SOURCE_CONTINUE

        take_picture(window)
        self.close(window, report)
        return GLib.SOURCE_REMOVE

    def close(self, window, report):
        print(json.dumps(report))
        window.close()


GLib.timeout_add(20, User().look_cb)
sys.argv = [EXAMPLE, *sys.argv[3:]]
runpy.run_path(EXAMPLE, run_name='__main__')
