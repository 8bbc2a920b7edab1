# shellcheck shell=bash
# packages.sh: makes sure that the packages which a script needs are installed; source it
#
# Copyright 2026 The gmsgrouter authors
# SPDX-License-Identifier: LGPL-2.1-or-later
#
#   need_packages PKG...
#
# Takes the names of Debian packages, or apt's patterns of them. On Debian and Ubuntu it installs
# the missing ones, with sudo if not root, and does not call apt if none is missing. On other
# systems it names the missing ones and fails.
#
#   quietly COMMAND [ARG...]
#
# Runs a command, and shows what it printed only if it fails.
#
# They print only to stderr.

quietly ()
{
  local output status=0

  output=$("$@" 2>&1) || status=$?
  if ((status != 0)); then
    echo "$output" >&2
    echo "$0: failed with status $status: $*" >&2
  fi

  return "$status"
}

# What shows that a package is installed, on a system that may have other packages: a pkg-config
# module, a typelib for /usr/bin/python3, a file, or a program. The default, for packages that
# this list does not know, is a program of the same name.
package_probe ()
{
  case $1 in
    ninja-build) echo "program ninja" ;;
    pkg-config | pkgconf) echo "program pkg-config" ;;
    xvfb) echo "program Xvfb" ;;
    xauth) echo "program xauth" ;;
    gnome-desktop-testing) echo "program gnome-desktop-testing-runner" ;;
    binutils) echo "program nm" ;;
    libclang-rt-dev) echo "file $(compgen -G "$(clang -print-resource-dir 2>&1)/lib/*/libclang_rt.fuzzer*.a" | head -n 1)" ;;
    xz-utils) echo "program xz" ;;
    node-typescript) echo "program tsc" ;;
    python3-numpy) echo "file /usr/lib/python3/dist-packages/numpy/__init__.py" ;;
    python3-editorconfig) echo "file /usr/lib/python3/dist-packages/editorconfig/__init__.py" ;;
    python3-tap) echo "file /usr/lib/python3/dist-packages/tap/runner.py" ;;
    python3-yaml) echo "file /usr/lib/python3/dist-packages/yaml/__init__.py" ;;
    python3-gbulb) echo "file /usr/lib/python3/dist-packages/gbulb/__init__.py" ;;
    python3) echo "program /usr/bin/python3" ;;
    libc6-dev) echo "file /usr/include/stdio.h" ;;
    libglib2.0-dev) echo "pkg-config gio-2.0" ;;
    libgirepository1.0-dev | gobject-introspection) echo "pkg-config gobject-introspection-1.0" ;;
    libgdk-pixbuf2.0-bin) echo "program gdk-pixbuf-thumbnailer" ;;
    libjson-glib-dev) echo "pkg-config json-glib-1.0" ;;
    *libsysprof-*) echo "pkg-config sysprof-capture-4" ;;
    libnats-dev) echo "pkg-config libnats" ;;
    libgtk-4-dev) echo "pkg-config gtk4" ;;
    libadwaita-1-dev) echo "pkg-config libadwaita-1" ;;
    libssl-dev) echo "pkg-config libcrypto" ;;
    librsvg2-common)
      echo "file $(compgen -G "/usr/lib/*/gdk-pixbuf-2.0/*/loaders/*svg.so" || compgen -G "/usr/lib*/gdk-pixbuf-2.0/*/loaders/*svg.so")" ;;
    libgstreamer1.0-dev) echo "pkg-config gstreamer-1.0" ;;
    python3-gi) echo "typelib GLib-2.0" ;;
    gir1.2-glib-2.0) echo "typelib Gio-2.0" ;;
    gir1.2-adw-1) echo "typelib Adw-1" ;;
    *) echo "program $1" ;;
  esac
}

have_package ()
{
  local kind name

  if command -v dpkg-query >/dev/null &&
     dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; then
    return 0
  fi

  read -r kind name <<<"$(package_probe "$1")"
  case $kind in
    pkg-config) command -v pkg-config >/dev/null && pkg-config --exists "$name" ;;
    typelib) /usr/bin/python3 -c "import gi; gi.require_version ('${name%-*}', '${name##*-}')" 2>/dev/null ;;
    file) [[ -e $name ]] ;;
    *) command -v "$name" >/dev/null ;;
  esac
}

need_packages ()
{
  local package missing=() apt=(env DEBIAN_FRONTEND=noninteractive apt-get --quiet -o Acquire::Retries=3)

  for package; do
    have_package "$package" || missing+=("$package")
  done

  if ((${#missing[@]} == 0)); then
    return 0
  fi

  if ! command -v apt-get >/dev/null; then
    echo "$0: not a Debian or Ubuntu system; please install what is missing:" >&2
    for package in "${missing[@]}"; do
      echo "  $(package_probe "$package") (in Debian's package $package)" >&2
    done
    return 1
  fi

  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "$0: neither root nor sudo; please run as root: apt-get install ${missing[*]}" >&2
      return 1
    fi
    apt=(sudo "${apt[@]}")
  fi

  echo "$0: installing ${missing[*]}" >&2
  quietly "${apt[@]}" update || return
  quietly "${apt[@]}" install --yes --no-install-recommends "${missing[@]}"
}
