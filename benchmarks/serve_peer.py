"""The straightforward server that benchmarks/serve.py measures ours against: FastAPI, one face a request.

    python -m uvicorn serve_peer:app --port 8001

The same generator as torch runs it by default, float32, a batch of one under no_grad, PNG by Pillow.
"""

from __future__ import annotations

import io

import torch
from fastapi import FastAPI, Response
from PIL import Image

from faceaug.synthesize import load_model

app = FastAPI()
model = load_model("dcgan-32")


@app.get("/face")
def face() -> Response:
    with torch.no_grad():
        made = model.generator(torch.randn(1, model.config.z_size))[0]
    pixels = ((made.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return Response(buffer.getvalue(), media_type="image/png")
