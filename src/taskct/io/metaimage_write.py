"""Write a stack of slices as a MetaImage file (`.mha`): a header of text, then float32, little endian."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_mha(
    images_hu: Iterator[NDArray[np.float32]], shape: tuple[int, int, int], spacing_mm: tuple[float, float], out: Path
) -> None:
    """Write slices, HU, to a new `.mha` file.

    Parameters
    ----------
    images_hu
        Slices of `(height, width)`, one after the other.
    shape
        `(n, height, width)`.
    spacing_mm
        Between pixels, and between slices, mm.
    out
        The file; one that is there is replaced.

    References
    ----------
    .. [1] Kitware, "MetaIO: tag format", https://docs.itk.org/en/latest/learn/metaio.html: sizes and spacings stand in
       the order x, y, z.
    """
    n, height, width = shape
    pixel, slices = spacing_mm
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 0 1 0 0 0 1",
        "Offset": f"{-(width - 1) / 2 * pixel:.10g} {-(height - 1) / 2 * pixel:.10g} 0",
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": f"{pixel:.10g} {pixel:.10g} {slices:.10g}",
        "DimSize": f"{width} {height} {n}",
        "ElementType": "MET_FLOAT",
        "ElementDataFile": "LOCAL",
    }
    with out.open("wb") as file:
        file.write("".join(f"{key} = {value}\n" for key, value in header.items()).encode("ascii"))
        for image in images_hu:
            file.write(np.ascontiguousarray(image, dtype="<f4").tobytes())
