#!/usr/bin/env bash
# SimpleITK 2.5.7: a MetaImage's intensity slope and offset are dropped; a file pattern that counts down is not read.
#
# Expected: ElementToIntensityFunctionSlope and ...Offset, fields of MetaIO's header, are applied, or at least kept among
#   the image's metadata; `s_%03d.raw 2 1 -1` reads s_002.raw and then s_001.raw, or is refused.
# Seen: the words come as they are, and no metadata tells of a slope. For a pattern from 2 down to 1, with a step of -1 or
#   of 1, an image of the size in the header comes back, without an error, whose values are not those of any file: memory
#   that was not filled, so they differ from run to run.
# Why it matters: CT stored as 0.5 * word - 1000 is read as words, and scans listed from the last to the first as noise.
# Output seen (the values of the last two lines vary):
#   slope 2, offset -1000: words [0 1 2 3], metadata of it: 0
#   s_%03d.raw 1 2 1: right
#   s_%03d.raw 2 1 -1: no error, wrong
#   s_%03d.raw 2 1 1: no error, wrong
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

for number, one in enumerate(words, start=1):
    (folder / f"s_{number:03d}.raw").write_bytes(one.tobytes())
for pattern, wanted in (("1 2 1", words), ("2 1 -1", words[::-1]), ("2 1 1", None)):
    (folder / "a.mhd").write_text(f"{FIRST}{LAST}s_%03d.raw {pattern}\n")
    try:
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "a.mhd")))
    except RuntimeError:
        seen = "an error"
    else:
        seen = "right" if wanted is not None and np.array_equal(values, wanted) else "no error, wrong"
    print(f"s_%03d.raw {pattern}: {seen}")
    same &= seen == ("right" if pattern == "1 2 1" else "no error, wrong")
sys.exit(0 if same else 1)
PYTHON
