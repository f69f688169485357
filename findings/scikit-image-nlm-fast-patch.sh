#!/usr/bin/env bash
# scikit-image 0.26.0: the fast mode of denoise_nl_means compares patches one pixel smaller than asked, off the centre.
#
# Expected: patch_size=5 compares 5 x 5 pixels about the pixel; the documentation says that the fast mode differs in
# weighing all of them alike, instead of by a Gaussian.
# Seen: the result is that of 4 x 4 pixels, rows and columns -1 to +2 of the pixel, whose squared differences are still
# divided by 25. Written out with these, the filter agrees to 0.02 of the noise's standard deviation (a rest of the
# fast exponential); with the 5 x 5 about the pixel it is up to 0.7 away. So `h` acts as if it were a quarter larger
# than in the slow mode, and the patch sees more of one side.
# Why it matters: a strength `h` chosen by the literature's rule, or in the slow mode, is another one in the fast mode,
# and a filter that is compared with networks must be described as what it is.
# Output seen:
#   rows and columns -2 to 2: largest difference 0.713
#   rows and columns -1 to 2: largest difference 0.016
# Exit status: 0 if that is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from skimage.restoration import denoise_nl_means

SIDE, REACH, STRENGTH, PAD, CUTOFF = 24, 3, 0.8, 12, 5.0
image = np.random.default_rng(0).normal(size=(SIDE, SIDE))
padded = np.pad(image, PAD, mode="reflect")


def patch(row, column, first, last):
    rows = slice(PAD + row + first, PAD + row + last + 1)
    return padded[rows, PAD + column + first : PAD + column + last + 1]


def written_out(first, last):
    found = np.empty_like(image)
    for row, column in np.ndindex(image.shape):
        here, total, weights = patch(row, column, first, last), 0.0, 0.0
        for down in range(-REACH, REACH + 1):
            for right in range(-REACH, REACH + 1):
                other = patch(row + down, column + right, first, last)
                distance = ((here - other) ** 2).sum() / 25 / STRENGTH**2
                if distance <= CUTOFF:  # as in the library
                    total += np.exp(-distance) * padded[PAD + row + down, PAD + column + right]
                    weights += np.exp(-distance)
        found[row, column] = total / weights
    return found


fast = denoise_nl_means(image, patch_size=5, patch_distance=REACH, h=STRENGTH, fast_mode=True)
inner = (slice(7, -7), slice(7, -7))  # away from the rim
differences = []
for first, last in ((-2, 2), (-1, 2)):
    differences.append(np.abs(fast - written_out(first, last))[inner].max())
    print(f"rows and columns {first} to {last}: largest difference {differences[-1]:.3f}")
sys.exit(0 if differences[0] > 0.3 and differences[1] < 0.05 else 1)
PYTHON
