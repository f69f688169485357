#!/usr/bin/env bash
# Pillow 13.0.0: signed and floating-point pixels of a big-endian, compressed TIFF come with their bytes swapped.
#
# Expected: byte order and compression are stored in the file; the pixels are the same by each of them.
# Seen: without compression both orders are right, and so is 16-bit unsigned. By Deflate (LZW and PackBits alike), which
# Pillow leaves to libtiff, the little-endian file is right, and the big-endian one of signed 16 and 32 bits and of
# 32-bit floats is not: libtiff gives the pixels in the machine's order, and Pillow swaps them again.
# Why it matters: signed 16 bits is what CT in HU has. Swapped values still lie in its range, no error tells of it.
# Output seen (13 further lines say "right"):
#   MM, Deflate, int16: bytes swapped
#   MM, Deflate, int32: bytes swapped
#   MM, Deflate, float32: bytes swapped
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

wrong = []
for order, mark in (("<", b"II"), (">", b"MM")):
    for name, compression, pack in (("none", 1, bytes), ("Deflate", 8, zlib.compress)):
        for dtype, kind in (("uint16", 1), ("int16", 2), ("int32", 2), ("float32", 3)):
            image = (np.arange(12).reshape(3, 4) + 1000).astype(dtype)
            pixels = pack(image.astype(image.dtype.newbyteorder(order)).tobytes())
            tags = {256: 4, 257: 3, 258: 8 * image.itemsize, 259: compression, 262: 1, 273: 8, 277: 1, 278: 3}
            tags |= {279: len(pixels), 339: kind}
            entries = b"".join(struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in tags.items())
            header = mark + struct.pack(f"{order}HI", 42, 8 + len(pixels))
            path = Path(sys.argv[1], "image.tif")
            path.write_bytes(header + pixels + struct.pack(f"{order}H", len(tags)) + entries + bytes(4))
            with Image.open(path) as picture:
                read = np.asarray(picture)
            swapped = image.byteswap().astype(read.dtype)
            seen = "right" if (read == image).all() else "bytes swapped" if (read == swapped).all() else "wrong"
            print(f"{mark.decode()}, {name}, {dtype}: {seen}")
            if seen != "right":
                wrong.append((mark, name, dtype))
sys.exit(0 if wrong == [(b"MM", "Deflate", dtype) for dtype in ("int16", "int32", "float32")] else 1)
PYTHON
