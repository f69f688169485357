#!/usr/bin/env bash
# scikit-image 0.26.0: denoise_tv_bregman does not minimise the functional that its documentation states.
#
# Expected: it minimises TV(u) + λ/2 · Σ(f − u)², with weight = λ/2. For an image of two flat halves, 16 columns each,
# that has a closed form: each half stays flat and moves towards the other by 1/(16 λ). (denoise_tv_chambolle with
# weight = 1/λ gives that to 1e-12.)
# Seen, iterated until nothing changes (eps=1e-9): with isotropic=True the halves are not flat, and their middles move
# by half of that on either side; with isotropic=False the left half moves by less and the right one not at all.
# Neither weight = λ/2 nor weight = λ gives the closed form, so it is no matter of scale.
# Why it matters: it is the fast total variation of the library, so a usual choice for a classical rival of CT
# denoisers; compared with a solver of the stated problem it is a different, rim-dependent filter.
# Output seen (λ = 5, closed form 0.0125):
#   chambolle           left +0.0125  right -0.0125  unevenness of a half 0.0000
#   isotropic           left +0.0063  right -0.0058  unevenness of a half 0.1391
#   anisotropic         left +0.0105  right +0.0000  unevenness of a half 0.0000
# Exit status: 0 if that is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
from skimage.restoration import denoise_tv_bregman, denoise_tv_chambolle

lam, image = 5.0, np.zeros((32, 32))
image[:, 16:] = 1.0
exact = 1 / (16 * lam)
results = {
    "chambolle": denoise_tv_chambolle(image, weight=1 / lam, eps=0.0, max_num_iter=20_000),
    "isotropic": denoise_tv_bregman(image, weight=lam / 2, eps=1e-9, max_num_iter=100_000),
    "anisotropic": denoise_tv_bregman(image, weight=lam / 2, eps=1e-9, max_num_iter=100_000, isotropic=False),
}
wrong = {}
for name, found in results.items():
    inner = found[8:24]  # away from the upper and lower rim
    left, right = inner[:, 4:12].mean(), inner[:, 20:28].mean() - 1
    print(f"{name:18s}  left {left:+.4f}  right {right:+.4f}  unevenness of a half {np.ptp(found[16, :16]):.4f}")
    wrong[name] = max(abs(left - exact), abs(right + exact)) > 0.1 * exact
print(f"closed form {exact:.4f}")
sys.exit(0 if wrong == {"chambolle": False, "isotropic": True, "anisotropic": True} else 1)
PYTHON
