#!/bin/sh
# Makes off-screen rendering work: draws a test frame, and installs Mesa's EGL if that fails.
#
# usage: setup_rendering.sh PYTHON
#
# Ends with code 1, after saying what to install, if no frame can be drawn: training from state
# still works then.
set -u
cd "$(dirname "$0")/.."
python=$1
packages="libegl1 libopengl0 libgl1 libgl1-mesa-dri"

draws() {
  "$python" -m dreamer_tf.envs.rendering
}

if backend=$(draws 2>/dev/null); then
  echo "Rendering works ($backend)."
  exit 0
fi

echo "Off-screen rendering does not work yet."
sh scripts/apt_install.sh $packages || echo "System packages cannot be installed from here."

if backend=$(draws); then
  echo "Rendering works ($backend)."
  exit 0
fi
cat >&2 <<END
warning: training from images and videos will not work until a system GL library is installed:
  Debian, Ubuntu:  apt-get install $packages
  Fedora:          dnf install mesa-libEGL mesa-libGL mesa-dri-drivers
  Arch:            pacman -S mesa libglvnd
MUJOCO_GL: ${MUJOCO_GL:-not set}
END
exit 1
