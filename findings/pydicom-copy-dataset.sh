#!/usr/bin/env bash
# A shallow copy of a pydicom data set shares its table of elements: adding an element to the copy adds it to the original.
#
# Version: pydicom 3.0.1, any Python from 3.10 on.
# Expected: copy.copy(dataset), or Dataset(dataset), is a data set of its own, as copy.copy of a dict is: elements are
#   shared, the table of elements is not.
# Happens: both share the table. An element that is added to the copy, or removed from it, is so in the original.
# Why it matters: whoever derives one header a frame from the common header of an enhanced multi-frame CT gets the
#   position of the last frame in all of them, with no error. Dataset(dict(dataset.items())) is a copy.
# Output seen:
#   copy.copy: the original has 1 element more
#   Dataset(): the original has 1 element more
#   Dataset(dict()): the original has 0 elements more
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.1
"$folder/venv/bin/python" - <<'PY'
import copy
from pydicom.dataset import Dataset

ways = {
    "copy.copy": copy.copy,
    "Dataset()": Dataset,
    "Dataset(dict())": lambda dataset: Dataset(dict(dataset.items())),
}
found = {}
for name, way in ways.items():
    original = Dataset()
    original.Modality = "CT"
    way(original).InstanceNumber = 1
    found[name] = len(original) - 1
    print(f"{name}: the original has {found[name]} element{'s' * (found[name] != 1)} more")
assert list(found.values()) == [1, 1, 0], "this has changed"
PY
