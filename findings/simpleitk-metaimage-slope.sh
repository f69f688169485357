#!/usr/bin/env bash
# SimpleITK 2.5.7: a MetaImage's intensity slope and offset are dropped, and no metadata tells of them.
#
# Expected: ElementToIntensityFunctionSlope and ...Offset, fields of MetaIO's header, are applied, or at least kept among
#   the image's metadata.
# Seen: the words come as they are, and no metadata tells of a slope.
# Why it matters: CT stored as 0.5 * word - 1000 is read as words.
# Output seen:
#   slope 2, offset -1000: words [0 1 2 3], metadata of it: 0
# Exit status: 0 if that is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 SimpleITK==2.5.7
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk

folder = Path(sys.argv[1])
words = np.arange(1, 25, dtype="<i2").reshape(2, 3, 4)
FIRST = "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nDimSize = 4 3 2\n"
LAST = "ElementType = MET_SHORT\nElementDataFile = "

path = folder / "a.mha"
scale = "ElementToIntensityFunctionSlope = 2\nElementToIntensityFunctionOffset = -1000\n"
path.write_bytes(f"{FIRST}{scale}{LAST}LOCAL\n".encode() + words.tobytes())
image = sitk.ReadImage(str(path))
values = sitk.GetArrayFromImage(image)
kept = sum("slope" in key.lower() or "intensity" in key.lower() for key in image.GetMetaDataKeys())
print(f"slope 2, offset -1000: words {values.ravel()[:4] - 1}, metadata of it: {kept}")
same = np.array_equal(values, words) and not kept
sys.exit(0 if same else 1)
PYTHON
