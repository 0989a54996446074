#!/usr/bin/env bash
# Seeded random numbers in a network whose pictures are channels-last, as CPUs like them.
# One would expect the memory format to change the speed alone: same seed, same shape, same numbers at the same places.
# torch 2.15.0: dropout, rand_like and randn_like fill memory in its own order, so with torch.channels_last the same
# seed drops other pixels, and randn_like even draws other numbers (a contiguous block is filled in vectors of 16).
# bernoulli, rrelu and dropout2d are the same in both formats, because they return or draw in contiguous order.
# A training that is switched to channels_last is another training; to compare formats, or to replay noise that was
# added to pictures, draw with torch.randn(shape) and convert afterwards.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check uv
"$work/venv/bin/uv" pip install -q --python "$work/venv/bin/python" torch==2.15.0 numpy==2.4.6
cat >"$work/try.py" <<'PYTHON'
import torch
import torch.nn.functional as F

print("torch", torch.__version__)
torch.set_num_threads(1)
plain = torch.full((2, 3, 8, 8), 0.5)
last = plain.to(memory_format=torch.channels_last)
ways = {
    "rand_like": torch.rand_like,
    "randn_like": torch.randn_like,
    "dropout": lambda x: F.dropout(x, 0.5),
    "dropout2d": lambda x: F.dropout2d(x, 0.5),
    "bernoulli": torch.bernoulli,
    "rrelu": lambda x: F.rrelu(-x, training=True),
}
same = {}
for name, way in ways.items():
    drawn = []
    for pictures in (plain, last):
        torch.manual_seed(0)
        drawn.append(way(pictures))
    values = [sorted(x.flatten().tolist()) for x in drawn]
    same[name] = (torch.equal(*drawn), values[0] == values[1])
    print(f"{name}: same at every place {same[name][0]}, same numbers at all {same[name][1]}")
assert same == {
    "rand_like": (False, True),
    "randn_like": (False, False),
    "dropout": (False, True),
    "dropout2d": (True, True),
    "bernoulli": (True, True),
    "rrelu": (True, True),
}
PYTHON
"$work/venv/bin/python" "$work/try.py"
