#!/usr/bin/env bash
# ldct-benchmark: denormalize is not the inverse of normalize for "meanstd": it adds the standard deviation, not the mean.
#
# Version: ldct-benchmark 0.0.15 (ldctbench/evaluate/utils.py, constants in ldctbench/data/info.yml), Python 3.11.
# Expected: an image that is normalized and denormalized again is the same image.
# Happens: it is 20.7 HU brighter everywhere, std − mean of its training data. "minmax" comes back as it was.
# Why it matters: a network whose output is denormalized so has a bias of 20.7 HU that is not its own. It costs RMSE and
#   PSNR where the network is good, and moves the image in a window of 400 HU by a twentieth. Where reference and output
#   both go this way the bias cancels; where only the output does, it does not.
# Output seen:
#   meanstd: -160, 40, 240 HU come back 20.7, 20.7, 20.7 HU off
#   minmax: -160, 40, 240 HU come back 0.0, 0.0, 0.0 HU off
# The two functions are taken out of their file: importing it would install torch and torchmetrics.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numpy==2.3.5 pyyaml==6.0.3
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps ldct-benchmark==0.0.15
"$folder/venv/bin/python" - <<'PY'
import ast
import sysconfig
from pathlib import Path

import numpy as np
import yaml

package = Path(sysconfig.get_paths()["purelib"]) / "ldctbench"
constants = yaml.safe_load((package / "data" / "info.yml").read_text())
tree = ast.parse((package / "evaluate" / "utils.py").read_text())
wanted = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in ("normalize", "denormalize")]
space = {"DATA_INFO": constants}
exec("from __future__ import annotations\n" + "\n".join(map(ast.unparse, wanted)), space)

stored = np.array([-160.0, 40.0, 240.0]) + 1024.0  # the package's images are HU + 1024
off = {}
for kind in ("meanstd", "minmax"):
    back = space["denormalize"](space["normalize"](stored, normalization=kind), normalization=kind)
    off[kind] = back - stored
    print(f"{kind}: -160, 40, 240 HU come back {', '.join(f'{abs(one):.1f}' for one in off[kind])} HU off")
assert np.allclose(off["meanstd"], constants["std"] - constants["mean"]) and abs(off["meanstd"][0]) > 20, "this has changed"
assert np.allclose(off["minmax"], 0.0, atol=1e-9), "this has changed"
PY
