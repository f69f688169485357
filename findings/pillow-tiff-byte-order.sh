#!/usr/bin/env bash
# Pillow 13.0.0: 16-bit pixels of a big-endian, Deflate-compressed TIFF come with their bytes swapped.
#
# Expected: byte order and compression are stored in the file; the pixels are the same by each of them.
# Seen: without compression both orders are right. By Deflate, which Pillow leaves to libtiff, the little-endian file is
# right and the big-endian one is not: libtiff gives the pixels in the machine's order, and Pillow swaps them again.
# Why it matters: values of the wrong bytes still lie in the range of 16 bits, so nothing tells of it, and programs on
# scanners' workstations write big-endian TIFF.
# Output seen:
#   OUTPUT
# Exit status: 0 if that is still so, 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet numpy==2.4.6 pillow==13.0.0
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

image = np.arange(12, dtype=np.uint16).reshape(3, 4) + 1000
right = {}
for order, mark in (("<", b"II"), (">", b"MM")):
    for name, number, pack in (("none", 1, bytes), ("Deflate", 8, zlib.compress)):
        pixels = pack(image.astype(f"{order}u2").tobytes())
        tags = {256: 4, 257: 3, 258: 16, 259: number, 262: 1, 273: 8, 277: 1, 278: 3, 279: len(pixels)}
        entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
        header = mark + struct.pack(f"{order}HI", 42, 8 + len(pixels))
        path = Path(sys.argv[1], "image.tif")
        path.write_bytes(header + pixels + struct.pack(f"{order}H", len(tags)) + entries + bytes(4))
        with Image.open(path) as picture:
            read = np.asarray(picture).astype(int)
        right[order, name] = (read == image).all()
        swapped = (read == image.byteswap()).all()
        print(f"{mark.decode()}, compression {name}: {'right' if right[order, name] else 'bytes swapped' if swapped else 'wrong'}")
sys.exit(0 if not right[">", "Deflate"] and sum(right.values()) == 3 else 1)
PYTHON
