#!/usr/bin/env bash
# torch.onnx.export: a network that decides by the size of its image keeps one decision, though the sizes are called dynamic.
#
# Versions: torch 2.13.0, onnx 1.23.2, onnxscript 0.7.2, onnxruntime 1.32.0, Python 3.11.
# Expected: with height and width declared as torch.export.Dim.DYNAMIC the graph holds for every size, or the export
#   says that it cannot.
# Happens: the network pads images of odd sides by a pixel, halves and doubles them, and crops. The example is even, so the
#   graph has no padding. The export says nothing. An image of 65 x 65 comes back as 64 x 64: a row and a column are lost.
# Why it matters: denoisers with a coarser path pad what does not divide. Regions of interest have odd sides often. The
#   result is an image that is cut, or shifted where the padding was on both sides.
# Output seen:
#   64 x 64: torch (1, 1, 64, 64), onnxruntime (1, 1, 64, 64)
#   65 x 65: torch (1, 1, 65, 65), onnxruntime (1, 1, 64, 64)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.3.5
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0
FOLDER="$folder" "$folder/venv/bin/python" - <<'PY'
import contextlib
import io
import os
import warnings

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import nn
from torch.export import Dim

warnings.simplefilter("ignore")


class Coarse(nn.Module):
    """An image at half its resolution and back; odd sides are continued by a pixel and cropped again."""

    def forward(self, image):
        height, width = image.shape[-2:]
        if height % 2 or width % 2:
            image = F.pad(image, (0, width % 2, 0, height % 2), mode="replicate")
        return F.interpolate(F.avg_pool2d(image, 2), scale_factor=2)[..., :height, :width]


network, file = Coarse().eval(), os.path.join(os.environ["FOLDER"], "coarse.onnx")
example = (torch.zeros(1, 1, 64, 64),)
with contextlib.redirect_stdout(io.StringIO()):
    torch.onnx.export(
        network, example, file, dynamo=True, dynamic_shapes={"image": {2: Dim.DYNAMIC, 3: Dim.DYNAMIC}}, verbose=False
    )
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
shapes = {}
for side in (64, 65):
    image = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(0))
    (there,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    here = network(image).numpy()
    shapes[side] = here.shape, there.shape
    print(f"{side} x {side}: torch {here.shape}, onnxruntime {there.shape}")
assert np.allclose(shapes[64][0], shapes[64][1]) and shapes[65][0] != shapes[65][1], "this has changed"
PY
