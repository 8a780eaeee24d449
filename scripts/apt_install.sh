#!/bin/sh
# Installs system packages on Debian and Ubuntu, as root or with a sudo that asks no password.
#
# usage: apt_install.sh PACKAGE...
#
# Ends with a code other than 0, and without a question, where that is not possible.
set -eu
command -v apt-get >/dev/null || exit 1
if [ "$(id -u)" = 0 ]; then
  as_root="env"
elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
  as_root="sudo -n env"
else
  exit 1
fi
echo "Installing $*"
$as_root apt-get update -q -o Acquire::Retries=3
$as_root DEBIAN_FRONTEND=noninteractive apt-get install -q -y -o Acquire::Retries=3 \
  --no-install-recommends "$@" </dev/null
