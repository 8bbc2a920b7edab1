# shellcheck shell=bash
# pictures.sh: functions for the scripts that make pictures of windows, which source it
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
#   look_like_gnome DIRECTORY
#
# Makes windows use GNOME's font and buttons. The settings go into DIRECTORY.
#
#   save_window NAME PICTURE...
#
# Saves the pictures of windows, side by side, as docs/images/NAME.png. On a display without
# a compositor each window has square corners and a border of BORDER pixels. This cuts off the
# border and rounds the corners, which become transparent for light and dark pages.

images=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
# shellcheck source=.ci/packages.sh
. "$images/../../.ci/packages.sh"

BORDER=5
RADIUS=12
GAP=12

# If "convert" is there, ImageMagick is installed.
command -v convert >/dev/null || need_packages imagemagick
need_packages fonts-cantarell

look_like_gnome ()
{
  mkdir "$1/gtk-4.0"
  printf '[Settings]\n%s\n%s\n' gtk-decoration-layout=:close 'gtk-font-name=Cantarell 11' >"$1/gtk-4.0/settings.ini"
  export XDG_CONFIG_HOME=$1
}

save_window ()
{
  local name=$1 picture width height shape gap=0 windows=()

  shift
  for picture; do
    read -r width height < <(identify -format '%w %h\n' "$picture")
    shape="roundrectangle 0,0 $((width - 2 * BORDER - 1)),$((height - 2 * BORDER - 1)) $RADIUS,$RADIUS"
    windows+=(\( "$picture" -shave "$BORDER" +repage -alpha set
      \( +clone -alpha transparent -fill white -draw "$shape" \) -compose DstIn -composite
      -compose Over -fill none -stroke '#80808066' -draw "$shape" -background none -splice "${gap}x0" \))
    gap=$GAP
  done

  convert "${windows[@]}" +append +dither -colors 128 -strip "$images/$name.png"
}
