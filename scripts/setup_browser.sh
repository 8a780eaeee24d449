#!/bin/sh
# Makes sure that there is a Chromium and its driver, in which pages are tested.
#
# usage: setup_browser.sh
#
# Ends with code 1, after saying what to install, if there is none.
set -u
cd "$(dirname "$0")/.."

found() {
  { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null &&
    command -v chromedriver >/dev/null
}

found && exit 0
sh scripts/apt_install.sh chromium chromium-driver ||
  echo "System packages cannot be installed from here."
found && exit 0
cat >&2 <<END
error: there is no browser for the tests of pages. Install Chromium and its driver:
  Debian:  apt-get install chromium chromium-driver
  Fedora:  dnf install chromium chromedriver
  Arch:    pacman -S chromium
END
exit 1
