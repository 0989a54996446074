#!/bin/sh
# Install faceaug from this clone into the active Python environment, and what it needs from the system.
#
#   sh setup.sh          faceaug
#   sh setup.sh dev      faceaug with everything its tests and checks need
set -eu
cd "$(dirname "$0")"

# opencv-python links against libGL and GLib, which slim Linux images leave out.
if command -v apt-get >/dev/null && ! ldconfig -p | grep -q 'libGL\.so\.1'; then
    as_root=$([ "$(id -u)" = 0 ] || echo sudo)
    $as_root apt-get update -qq
    $as_root apt-get install -y -qq --no-install-recommends libgl1 libglib2.0-0
fi

python -m pip install --quiet ".${1:+[$1]}"
