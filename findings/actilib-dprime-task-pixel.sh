#!/usr/bin/env bash
# actilib 0.99.1: d' depends on the pixel that the task is drawn with.
#
# Expected: d' of a non-prewhitening observer for a disc of contrast C and radius R in white noise of power S is
# C √π R / √S (AAPM TG-233, with a transfer function of 1), however finely the disc is drawn.
# Seen: with the default task pixel of 0.05 mm it is 11.9 times as large for images of 0.5 mm pixels, with one of 0.1 mm
# 5.4 times, with one of 0.5 mm 1.1 times. The noise-power spectrum is resampled to the frequencies of the task, up to 10
# cycles/mm, ten times the Nyquist frequency of the images, and then scaled so that its sum is the variance again: so
# the power where the task is becomes far too small.
# Why it matters: d' is compared between scanners and with limits of detection. Here it is a matter of a display setting.
# Output seen:
#   task pixel 0.05 mm: d' 315.1, expected 26.6, 11.9 times
#   task pixel 0.10 mm: d' 144.2, expected 26.6, 5.4 times
#   task pixel 0.50 mm: d' 29.0, expected 26.6, 1.1 times
# Exit status: 0 if that is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 scipy==1.17.1 opencv-python==5.0.0.93 actilib==0.99.1 # it needs cv2 and does not say so
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from types import SimpleNamespace

import numpy as np
from actilib.analysis.detectability import calculate_dprime, get_dprime_default_params
from actilib.analysis.nps import noise_properties
from actilib.analysis.rois import SquareROI

pixel_mm, sigma_hu, contrast_hu, diameter_mm = 0.5, 10.0, 15.0, 10.0
noise = np.random.default_rng(0).normal(0.0, sigma_hu, (64, 64, 64))
header = SimpleNamespace(PixelSpacing=[pixel_mm, pixel_mm])
nps = noise_properties([{"header": header, "pixels": image} for image in noise], SquareROI(64, 32, 32))
ttf = {"frq": np.linspace(0.0, 20.0, 400), "ttf": np.ones(400)}
expected = contrast_hu * np.sqrt(np.pi) * diameter_mm / 2.0 / (sigma_hu * pixel_mm)
found = {}
for task_pixel_mm, n in ((0.05, 300), (0.1, 300), (0.5, 64)):
    params = get_dprime_default_params()
    params |= {"task_pixel_size_mm": task_pixel_mm, "task_pixel_number": n}
    params |= {"task_diameter_mm": diameter_mm, "task_contrast_hu": contrast_hu}
    found[task_pixel_mm] = calculate_dprime(nps, ttf, params) / expected
    print(
        f"task pixel {task_pixel_mm:.2f} mm: d' {found[task_pixel_mm] * expected:.1f}, expected {expected:.1f}, "
        f"{found[task_pixel_mm]:.1f} times"
    )
sys.exit(0 if found[0.05] > 8.0 and found[0.05] > 1.5 * found[0.1] else 1)
PYTHON
