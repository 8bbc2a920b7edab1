# screen.py: cuts the picture of a window out of a screen of Xvfb
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

import struct
import zlib


def write_png(path, width, height, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9)) + chunk(b"IEND", b""))


def write_picture(path, dump, width, height):
    """Writes the corner of the screen. <X11/XWDFile.h>: four bytes a pixel, blue first."""
    header = struct.unpack(">25I", dump[:100])
    start, bytes_per_line = header[0] + 12 * header[19], header[12]
    rows = []
    for y in range(min(height, header[5])):
        line = dump[start + y * bytes_per_line:][:4 * width]
        row = bytearray(3 * width)
        row[0::3], row[1::3], row[2::3] = line[2::4], line[1::4], line[0::4]
        rows.append(bytes(row))
    write_png(path, width, len(rows), rows)
