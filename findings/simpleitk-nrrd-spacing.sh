#!/usr/bin/env bash
# SimpleITK 2.5.7: a NRRD's axis mins and maxs give a spacing of 1, and its unit of space is not looked at.
#
# Expected: the format lets a header tell sample positions by `spacings`, `space directions`, or `axis mins` with `axis
#   maxs`; lengths are in `space units` (`units` for the others). SimpleITK's spacing is in mm.
# Seen: by the ends of the axes the spacing is 1 × 1 × 1, as of a header that says nothing. By directions in "um" it is
#   the bare number, 700 for 0.7 mm, and no metadata holds the unit.
# Why it matters: a frequency, a radius in mm and the eye of an observer are wrong by the factor, with no error.
# Output seen:
#   spacings: (0.7, 0.7, 2.0)
#   axis mins and maxs: (1.0, 1.0, 1.0)
#   directions in um: (700.0, 700.0, 2000.0), metadata of the unit: 0
# Exit status: 0 if that is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 SimpleITK==2.5.7
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import SimpleITK as sitk

PLAIN = ["NRRD0004", "type: short", "dimension: 3", "sizes: 4 3 2", "endian: little", "encoding: raw"]


def image(*fields):
    path = Path(sys.argv[1], "a.nrrd")
    path.write_bytes("\n".join([*PLAIN, *fields, "", ""]).encode() + bytes(48))
    return sitk.ReadImage(str(path))


told = image("spacings: 0.7 0.7 2").GetSpacing()
ends = image("axis mins: 0 0 0", "axis maxs: 2.8 2.1 4").GetSpacing()
directions = ("space: LPS", "space directions: (700,0,0) (0,700,0) (0,0,2000)", 'space units: "um" "um" "um"')
small = image(*directions)
kept = sum("um" in small.GetMetaData(key) for key in small.GetMetaDataKeys())
print(f"spacings: {told}")
print(f"axis mins and maxs: {ends}")
print(f"directions in um: {small.GetSpacing()}, metadata of the unit: {kept}")
same = told == (0.7, 0.7, 2.0) and ends == (1.0, 1.0, 1.0) and small.GetSpacing() == (700.0, 700.0, 2000.0) and not kept
sys.exit(0 if same else 1)
PYTHON
