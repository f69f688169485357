#!/usr/bin/env bash
# MONAI 1.6.1: the FROC curve lacks the operating point at which every mark counts, so the CAMELYON score can be too low.
#
# Expected: compute_froc_curve_data lowers the threshold over all confidences; at the lowest one every true mark is found,
#   so the last sensitivity is the fraction of targets that were marked at all. One target, marked, and no false mark:
#   sensitivity 1 at 0 false positives an image.
# Happens: thresholds are the sorted confidences without the first, that is the lowest, and a mark counts at or above its
#   threshold. So the mark with the lowest confidence is never counted, whether true or false. A detector with a single mark
#   has sensitivity 0 throughout.
# Why it matters: a reader or detector who gives one confidence alone, or whose faintest mark is a hit, is scored as if the hit
#   were not there: here the mean sensitivity over 0.25 to 8 false positives an image is 0 where 1 is right, and 0.5 where
#   all targets were found.
#
# Output seen (torch 2.13.0 on a CPU):
#   one target, found:             sensitivity [0.0], score 0.0
#   two targets, both found:       sensitivity [0.5, 0.0], score 0.5
#   with a fainter false mark:     sensitivity [1.0, 0.5, 0.0], score 1.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# On Linux this is torch's large CUDA build; add --extra-index-url https://download.pytorch.org/whl/cpu for the small one.
"$folder/venv/bin/pip" install --quiet torch==2.13.0 monai==1.6.1 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import numpy as np
from monai.metrics import compute_froc_curve_data, compute_froc_score


def froc(false_marks: list[float], true_marks: list[float], n_targets: int) -> tuple[list[float], float]:
    """Sensitivities of one image, and the mean of them at 0.25 to 8 false positives."""
    false_positives, sensitivity = compute_froc_curve_data(np.array(false_marks), np.array(true_marks), n_targets, 1)
    return [float(s) for s in sensitivity], float(compute_froc_score(false_positives, sensitivity))


found = {
    "one target, found:": froc([], [0.8], 1),
    "two targets, both found:": froc([], [0.8, 0.6], 2),
    "with a fainter false mark:": froc([0.1], [0.8, 0.6], 2),
}
for name, (sensitivity, score) in found.items():
    print(f"{name:30} sensitivity {sensitivity}, score {score}")
assert found["one target, found:"] == ([0.0], 0.0)
assert found["two targets, both found:"][1] == 0.5
assert found["with a fainter false mark:"][1] == 1.0
PY
