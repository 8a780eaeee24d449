#!/bin/sh
# Makes a virtual environment with the pinned packages and this project, editable.
#
# usage: setup_venv.sh [--check] FOLDER [PYTHON]
#
# With --check nothing is made: the stamps of make are taken away where FOLDER cannot be used as it is,
# because it was made in another place, its interpreter is gone, or PYTHON is of another version.
# Without PYTHON the first suitable interpreter on the PATH is taken. Where Python lacks the venv
# module (Debian and Ubuntu without python3-venv), virtualenv is used, or the system package is
# installed if that is allowed.
set -eu
cd "$(dirname "$0")/.."
check=
if [ "$1" = --check ]; then
  check=yes
  shift
fi
venv=$1
wanted=${2:-}

suitable() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1
}

find_python() {
  for name in ${wanted:-python3 python3.11 python3.12 python}; do
    if suitable "$name"; then
      echo "$name"
      return
    fi
  done
  echo "error: Python 3.11 or 3.12 is needed (of dm_control's labmaze there is no wheel for others)." >&2
  echo "Found: $("${wanted:-python3}" --version 2>&1 || true)" >&2
  echo "Give another with: make PYTHON=/path/to/python3.11" >&2
  return 1
}

# pip's own --target is allowed where the system Python refuses other installs (PEP 668).
virtualenv_from_pip() {
  target=$(mktemp -d)
  status=0
  "$1" -m pip install --quiet --target "$target" virtualenv 2>/dev/null &&
    PYTHONPATH=$target "$1" -m virtualenv --quiet "$venv" || status=$?
  rm -rf "$target"
  return $status
}

make_venv() {
  rm -rf "$venv"
  if "$1" -m venv "$venv" >/dev/null 2>&1; then return; fi
  rm -rf "$venv"
  if "$1" -m virtualenv --quiet "$venv" 2>/dev/null; then return; fi
  if virtualenv_from_pip "$1"; then return; fi
  package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  echo "$1 cannot make virtual environments; $package is missing."
  if sh scripts/apt_install.sh "$package" && "$1" -m venv "$venv"; then return; fi
  echo "error: no virtual environment could be made. Install $package (Debian, Ubuntu)" >&2
  echo "or virtualenv, then run make again." >&2
  return 1
}

version() {
  "$1" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null
}

# A virtual environment cannot be moved: its programs name the place where it was made.
is_usable() {
  suitable "$venv/bin/python" || return 1
  [ ! -f "$venv/.installed" ] || [ "$(cat "$venv/.installed")" = "$(pwd -P)" ] || return 1
  [ -z "$wanted" ] || [ "$(version "$wanted")" = "$(version "$venv/bin/python")" ]
}

if [ -n "$check" ]; then
  if [ -f "$venv/.installed" ] && ! is_usable; then
    # With an interpreter that is none, it fails below, and what is there stays.
    if [ -z "$wanted" ] || suitable "$wanted"; then touch "$venv/.unusable"; fi
    rm -f "$venv/.installed" "$venv/.rendering"
  fi
  exit
fi
if [ -f "$venv/.unusable" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1 || ! is_usable; then
  python=$(find_python)
  echo "Virtual environment $venv with $("$python" --version)"
  make_venv "$python"
fi
"$venv/bin/python" -m pip install --disable-pip-version-check -r requirements-dev.txt
"$venv/bin/python" -m pip install --disable-pip-version-check --quiet -e '.[dev,figures]'
