"""A CT series slice by slice."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from taskct.io.dicom import find_series, find_slice
from taskct.io.dicom_header import SliceHeader, tolerant
from taskct.io.dicom_layout import Layout, layout_of
from taskct.io.dicom_pixels import SlicePixels, check_pixel_budget, read_pixels
from taskct.io.dicom_write import Derivation, Extent, check_free, write_slices
from taskct.io.scratch import scratch_beside
from taskct.io.slices import Made, Slice


class DicomSlices:
    """A CT series in a folder, or one CT slice; slices may be uneven or lean, as for work slice by slice.

    A UserError as `find_series` and `find_slice`.
    """

    def __init__(self, path: Path, *, strip_private: bool) -> None:
        self._strip_private = strip_private
        self._single = not path.is_dir()
        self._headers, self.slice_mm = (
            ([find_slice(path)], float("nan")) if self._single else find_series(path, slicewise=True)
        )
        for header in self._headers:
            check_pixel_budget([header], header.name)
        first = self._headers[0]
        self._layout: Layout = layout_of(first.orientation)
        height, width = self._layout.to_patient(np.broadcast_to(np.int8(0), first.shape)).shape
        self.shape = (len(self._headers), height, width)
        self.pixel_mm = self._layout.pixel_mm(first.pixel_mm)

    def read(self, which: Sequence[int] | None = None) -> Iterator[Slice]:
        """As `SliceSource.read`."""
        wanted: list[SliceHeader] = self._headers if which is None else [self._headers[index] for index in which]
        pixels = read_pixels(wanted)
        while True:
            with tolerant():
                one = next(pixels, None)
            if one is None:
                return
            image, padding = self._layout.to_patient(one.image_hu), self._layout.to_patient(one.padding)
            yield Slice(np.ascontiguousarray(image), np.ascontiguousarray(padding), one.padding_hu)

    def write(self, made: Made, target: Path, description: str) -> None:
        """As `SliceSource.write`: a folder, or a file for one slice, as `write_series` does."""
        check_free(target, single=self._single)
        extent, to_stored = Extent(), self._layout.to_stored
        with scratch_beside(target) as kept:
            for one, image in made:
                if one.padding is None or one.stored is None:
                    raise ValueError("a slice of another source")
                extent.add(image, one.padding, one.stored)
                kept.append(image, np.packbits(to_stored(one.padding)), one.stored)
            shape = to_stored(np.broadcast_to(np.int8(0), self.shape[1:])).shape
            slices = (
                SlicePixels(
                    to_stored(image),
                    np.unpackbits(bits, count=math.prod(shape)).astype(np.bool_).reshape(shape),
                    padding_hu,
                )
                for image, bits, padding_hu in (kept[index] for index in range(len(kept)))
            )
            derivation = Derivation(description, strip_private=self._strip_private)
            key = "" if any(header.study_uid for header in self._headers) else self._patient_key()
            write_slices(slices, self._headers, extent, target, derivation, patient_key=key)

    def _patient_key(self) -> str:
        """As `CTSeries.patient_key`; asked for only where no slice names its study."""
        first = self._headers[0]
        if text := first.patient or first.series_uid:
            return hashlib.sha256(text.encode()).hexdigest()[:16]
        digest = hashlib.sha256()
        for one in self.read():
            digest.update(one.image_hu.tobytes())
        return digest.hexdigest()[:16]
