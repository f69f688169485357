#!/usr/bin/env bash
# crip 1.8.5: the noise-power spectrum falls with the number of images.
#
# Expected: the sum of a noise-power spectrum over its frequencies, times their spacing, is the variance of the noise,
# whether it is estimated from one image or from many; many make it smoother.
# Seen: nps2D of n images is 1/n of that. Transforms of the images are averaged as complex numbers, and the square of
# the mean is taken: of independent noise the mean goes to 0. Its help recommends many realizations.
# Why it matters: two reconstructions whose noise was measured in different numbers of slices cannot be compared, and
# the more slices, the less noise.
# Output seen:
#   1 images: variance 99.5 HU², expected 100
#   2 images: variance 49.9 HU², expected 100
#   10 images: variance 9.8 HU², expected 100
#   64 images: variance 1.6 HU², expected 100
# Exit status: 0 if that is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 scipy==1.17.1 crip==1.8.5
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from crip.lowdose import nps2D

pixel_mm = 0.5
noise = np.random.default_rng(0).normal(0.0, 10.0, (64, 64, 64))
found = {}
for n in (1, 2, 10, 64):
    nps = nps2D(noise[:n], pixel_mm, detrend="individual")
    found[n] = nps.sum() / (nps.size * pixel_mm**2)
    print(f"{n} images: variance {found[n]:.1f} HU², expected 100")
sys.exit(0 if abs(found[1] - 100.0) < 10.0 and found[64] < 5.0 else 1)
PYTHON
