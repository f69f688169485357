"""Images of a line of a table of scans: as they are, or regions about the rods of a phantom cut from whole scans."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.apply.curves.scoring import CellImages
from taskct.apply.curves.tables import RodSize, ScanSet
from taskct.apply.observe.cases import cases_of
from taskct.apply.phantom import FoundPhantom, PhantomLayout, find_phantom, rod_trials
from taskct.errors import UserError
from taskct.io.image_stack import ImageStack, read_images
from taskct.metrics.dose_areas import DoseCell


@dataclass
class WholeImages:
    """Images with the signal at one place: an observer sees all of them."""

    sizes: dict[str, RodSize] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __call__(self, scans: ScanSet) -> Iterator[CellImages]:
        """The images of a line."""
        if scans.absent is None:
            raise UserError(
                f"line {scans.line}: absent is empty; give images without the signal, or --phantom to cut regions "
                "with and without from the same scans"
            )
        present, absent = _read(scans.present, scans), _read(scans.absent, scans)
        if present.images.shape[1:] != absent.images.shape[1:]:
            raise UserError(
                f"line {scans.line}: images with the signal have {_size(present)} pixels and those without "
                f"{_size(absent)}; give images of one size"
            )
        images = np.concatenate([present.images, absent.images])
        truth = np.arange(len(images)) < len(present.images)
        size = self.sizes.get(scans.rod, RodSize())
        yield CellImages(scans.cell, images, truth, _scan_numbers(present, absent), size)


@dataclass
class RodRegions:
    """Regions about the rods of a phantom, which is found in the scans of the highest dose of each reconstruction.

    Repeated scans leave the phantom where it is, and at a low dose its rods do not show.
    """

    layout: PhantomLayout
    pixel_mm: float
    highest: dict[str, ScanSet]
    """By reconstruction, the line of the highest dose."""
    window_mm: float | None = None
    roll_deg: float | None = None
    """The phantom's roll where it is known; None to find it."""
    found: dict[str, FoundPhantom] = field(default_factory=dict)
    """Where the phantom lies, by reconstruction, once it was looked for."""

    def __call__(self, scans: ScanSet) -> Iterator[CellImages]:
        """The regions of a line, rod by rod."""
        present = _read(scans.present, scans)
        absent = None if scans.absent is None else _read(scans.absent, scans)
        name = scans.reconstruction
        if name not in self.found:
            best = self.highest[name]
            shown = present if best == scans else _read(best.present, best)
            self.found[name] = find_phantom(shown.images, self.layout, pixel_mm=self.pixel_mm, roll_deg=self.roll_deg)
        numbers = _scan_numbers(present, absent)
        cut = rod_trials(
            present.images,
            None if absent is None else absent.images,
            self.layout,
            pixel_mm=self.pixel_mm,
            window_mm=self.window_mm,
            found=self.found[name],
            scans=numbers,
        )
        for one in cut:
            cell = DoseCell(name, scans.dose, one.rod.name)
            size = RodSize(one.rod.diameter_mm, one.rod.contrast_hu)
            yield CellImages(cell, one.images, one.signal_present, one.cases, size)

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the phantom was found, and what is to be known of that, by reconstruction."""
        told = [f"{name}: {found.sentence()}" for name, found in self.found.items()]
        return tuple(told + [f"{name}: {line}" for name, found in self.found.items() for line in found.notes])


def highest_doses(scans: tuple[ScanSet, ...]) -> dict[str, ScanSet]:
    """The line of the highest dose of each reconstruction."""
    found: dict[str, ScanSet] = {}
    for one in scans:
        if one.reconstruction not in found or one.dose > found[one.reconstruction].dose:
            found[one.reconstruction] = one
    return found


def pixel_size(scans: ScanSet) -> float | None:
    """Pixel size that the images of a line tell, mm."""
    return _read(scans.present, scans).pixel_mm


def _read(path: Path, scans: ScanSet) -> ImageStack:
    return read_images(path, scans.words)


def _scan_numbers(present: ImageStack, absent: ImageStack | None) -> NDArray[np.int64]:
    """Number of the scan of every image, present ones first: slices of one series are one scan."""
    parts, start = [], 0
    for stack in (present, absent):
        if stack is not None:
            cases, _ = cases_of(stack.origins, "series")
            numbers = np.arange(len(stack.images)) if cases is None else cases
            parts.append(numbers + start)
            start += int(numbers.max()) + 1
    return np.concatenate(parts).astype(np.int64)


def _size(stack: ImageStack) -> str:
    height, width = stack.images.shape[1:]
    return f"{height} × {width}"
