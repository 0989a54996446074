#!/usr/bin/env bash
# The same weights with the same metadata saved twice by safetensors.
# One would expect the same bytes: tensors are sorted, and a dict of Python has an order.
# safetensors 0.8.0 writes the keys of __metadata__ in an order that is drawn anew at each call, within one process too:
# fifty saves give dozens of digests. With one key, or none, the bytes are always the same.
# A weight file that is pinned by its digest, or deduplicated by content, must carry its facts in one value (a JSON text
# under a single key) or beside the file.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install -q --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
cat >"$work/try.py" <<'PYTHON'
import hashlib

import numpy as np
import safetensors
from safetensors.numpy import save

WEIGHTS = {"conv.weight": np.arange(27, dtype=np.float32).reshape(1, 3, 3, 3), "conv.bias": np.zeros(1, np.float32)}


def digests(metadata):
    return len({hashlib.sha256(save(WEIGHTS, metadata=metadata)).hexdigest() for _ in range(50)})


print("safetensors", safetensors.__version__)
found = {keys: digests({f"key{k}": "value" for k in range(keys)}) for keys in (0, 1, 2, 6)}
print("keys of metadata -> different files in 50 saves:", found)
assert found[0] == found[1] == 1
assert found[2] == 2 and found[6] > 10
PYTHON
"$work/venv/bin/python" "$work/try.py"
