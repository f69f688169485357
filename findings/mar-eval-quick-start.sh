#!/usr/bin/env bash
# mar-eval 0.3.1: the quick start removes the signal that the observer is to learn.
#
# Expected: the quick start of its page trains a channelized Hotelling observer and prints an AUC with an interval.
# Seen: it stops with an AttributeError, since batch_extract_rois gives a dictionary and build_pca_channels takes an
# array. With the regions stacked to an array it goes on, but each class is centred on its own mean before the template
# is learned: the difference of the class means, 124 units in the channels, becomes 0, and so does the template.
# Why it matters: an AUC that such a template gives is that of rounding.
# Output seen:
#   as it is: AttributeError: 'dict' object has no attribute 'mean'
#   with arrays: the largest difference of the class means is 123.6 before and 0.0 after the centring, the template's norm 0.0
# Exit status: 0 if that is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 scipy==1.17.1 mar-eval==0.3.1
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from mareval import batch_extract_rois, build_pca_channels, cho_template, extract_roi, generate_synthetic_study

config = {"image_shape": (64, 64), "doses": 3, "contrasts": 3, "realizations": 4, "rng_seed": 0}
images = generate_synthetic_study(config)["images"]
centre, size = (32, 24), (17, 17)
rois = batch_extract_rois([images[0, 0, 0, "FBP", "absent"], images[2, 2, 0, "MAR", "present"]], [centre], size)
stops = False
try:
    build_pca_channels(rois, n_channels=8)
except AttributeError as error:
    stops = True
    print(f"as it is: AttributeError: {error}")
channels = build_pca_channels(np.stack([roi.ravel() for roi in rois.values()]), n_channels=8)


def regions(of_class):
    # The highest contrast: at the lowest, that of the page, the lesion is 0.
    found = [extract_roi(images[0, 2, r, "FBP", of_class], centre, size).ravel() for r in range(4)]
    return np.asarray(found, dtype=float)


present, absent = regions("present"), regions("absent")
before = np.abs((present.mean(0) - absent.mean(0)) @ channels).max()
centred = [(one - one.mean(0)) @ channels for one in (present, absent)]
after = np.abs(centred[0].mean(0) - centred[1].mean(0)).max()
norm = np.linalg.norm(cho_template(*centred, lambda_reg=1e-3))
print(
    f"with arrays: the largest difference of the class means is {before:.1f} before and {after:.1f} after the centring, "
    f"the template's norm {norm:.1f}"
)
sys.exit(0 if stops and before > 1.0 and after < 1e-6 and norm < 1e-6 else 1)
PYTHON
