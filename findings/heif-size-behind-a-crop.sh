#!/usr/bin/env bash
# The size of a HEIC picture, read from its header as indexers of large folders do: the box `ispe` holds width and height.
# One would expect the size of the picture, as every decoder gives it.
# Files of pillow-heif 1.8.1 (libheif 1.23.6, x265) have the coded size there: at least 64 a side, and even. A 33x17 thumbnail
# says 64x64 and 65x63 says 66x64; the true size follows only from the crop in the box `clap`, which large even pictures
# do not have, so a reader tried on photos alone looks right.
# Face thumbnails and odd crops in HEIC therefore index with wrong sizes, and landmarks scaled by them shift: apply `clap`.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check pillow-heif==1.8.1 pillow==13.0.0 numpy==2.4.6
cat >"$work/try.py" <<'PYTHON'
import io
import struct

import numpy as np
import pillow_heif
from PIL import Image

print("pillow-heif", pillow_heif.__version__, "libheif", pillow_heif.libheif_version())
found = {}
for size in ((33, 17), (16, 16), (65, 63), (64, 64), (178, 218)):
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(file, quality=90)
    data = file.getvalue()
    at = data.index(b"ispe")
    says = struct.unpack(">II", data[at + 8 : at + 16])
    decoded = pillow_heif.open_heif(file).size
    print("picture", size, "ispe", says, "clap", b"clap" in data, "decoded", decoded)
    assert decoded == size
    found[size] = says, b"clap" in data
assert found == {
    (33, 17): ((64, 64), True),
    (16, 16): ((64, 64), True),
    (65, 63): ((66, 64), True),
    (64, 64): ((64, 64), False),
    (178, 218): ((178, 218), False),
}
PYTHON
"$work/venv/bin/python" "$work/try.py"
