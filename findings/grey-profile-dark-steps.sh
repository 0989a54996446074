#!/usr/bin/env bash
# A grey picture with a linear ICC profile, converted to sRGB by Pillow's ImageCms.
# One would expect what the same curve gives in an RGB profile: at most one level from the sRGB formula.
# Pillow 13.0.0 (LittleCMS 2.19) is up to 10 levels too dark in the shadows: level 2 becomes 12 in place of 22. The RGB
# profile with the same curve is right to one level. LittleCMS replaces a grey curve by a coarse table when it optimises
# the transform; HIGHRESPRECALC still leaves 7 levels, only NOOPTIMIZE is exact.
# Grey scans of faces with linear profiles lose their shadows silently: build transforms of mode L with
# flags=ImageCms.Flags.NOOPTIMIZE.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
cat >"$work/try.py" <<'PYTHON'
import io
import struct

import numpy as np
from PIL import Image, ImageCms, __version__, features


def xyz(*values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def profile(space, tags):
    """A display profile of ICC version 2.4."""
    name = b"mine\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text\0\0\0\0public\0",
        b"wtpt": xyz(0.9642, 1, 0.8249),
    } | tags
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag + struct.pack(">2I", start + len(body), len(data))
        body += data
    head = bytearray(128)
    head[8], head[9] = 2, 0x40
    head[12:24], head[36:40], head[68:80] = b"mntr" + space + b"XYZ ", b"acsp", xyz(0.9642, 1, 0.8249)[8:]
    head[:4] = struct.pack(">I", 128 + len(table) + len(body))
    return bytes(head) + table + body


linear = b"curv" + bytes(8)  # no entries: output = input
grey = profile(b"GRAY", {b"kTRC": linear})
primaries = {b"rXYZ": (0.4360, 0.2225, 0.0139), b"gXYZ": (0.3851, 0.7169, 0.0971), b"bXYZ": (0.1431, 0.0606, 0.7141)}
rgb = profile(b"RGB ", {k: xyz(*v) for k, v in primaries.items()} | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), linear))

v = np.arange(256) / 255
formula = np.round(255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055))
print("Pillow", __version__, "LittleCMS", features.version("littlecms2"))


def worst(data, mode, flags):
    steps = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(mode)
    source, target = ImageCms.ImageCmsProfile(io.BytesIO(data)), ImageCms.createProfile("sRGB")
    found = ImageCms.applyTransform(steps, ImageCms.buildTransform(source, target, mode, "RGB", flags=flags))
    levels = np.array(found)[0, :, 1].astype(int)
    print(mode, flags.name or "default", "levels 0 to 5:", *levels[:6], "expected:", *formula[:6].astype(int))
    return int(abs(levels - formula).max())


seen = [
    worst(grey, "L", ImageCms.Flags(0)),
    worst(grey, "L", ImageCms.Flags.HIGHRESPRECALC),
    worst(grey, "L", ImageCms.Flags.NOOPTIMIZE),
    worst(rgb, "RGB", ImageCms.Flags(0)),
]
print("largest differences, levels:", seen)
raise SystemExit(seen != [10, 7, 0, 1])
PYTHON
"$work/venv/bin/python" "$work/try.py"
