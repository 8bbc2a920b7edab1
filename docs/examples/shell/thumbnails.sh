#!/bin/sh
# thumbnails.sh FOLDER TARGET: makes a thumbnail of each picture in a folder, and prints its
# number, the number of all pictures, and the thumbnail's path
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later

cd "$1" || exit
target=$2 number=0

set --
for picture in ./*.jpg ./*.jpeg ./*.png; do
  if [ -e "$picture" ]; then set -- "$@" "$picture"; fi
done

for picture; do
  gdk-pixbuf-thumbnailer --size=128 "$picture" "$target/$picture.png" || exit
  number=$((number + 1))
  echo "$number $# $target/$picture.png"
done
