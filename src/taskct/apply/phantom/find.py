"""Where a phantom lies in its scans: centre, size, roll and tilt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.apply.phantom.cylinder import NOTED_MISFIT, find_cylinder
from taskct.apply.phantom.roll import LEAST_LEAD, contrast_scale, find_roll
from taskct.errors import UserError
from taskct.ranges import Range
from taskct.tasks.layouts import PhantomLayout

Array = NDArray[np.float64]

PIXEL = Range(0.01, 20.0, unit="mm", meaning="the pixel pitch")
SLICE = Range(0.01, 100.0, unit="mm", meaning="the distance between slices")
ROLL = Range(-360.0, 360.0, unit="degrees", meaning="the phantom's roll, clockwise on the screen")
STEADY_PX = 0.25  # scans whose centres scatter less than this are of a phantom that stayed where it was
NOTED_TILT_DEG = 1.0
USUAL_SCALE = 0.25  # by which the rods' contrast may differ from the layout's, as a share, before it is noted


@dataclass(frozen=True)
class FoundPhantom:
    """A phantom as it was found in one image or several."""

    layout: PhantomLayout
    pixel_mm: float
    centres_px: Array
    """Axis in every image, row and column, `(n, 2)`; whole numbers are the middles of pixels, counted from 0."""
    radius_px: float
    """Of the cylinder, the median over the images."""
    roll_deg: float
    """Turn from the layout as it is written, clockwise on the screen, in (−180, 180]."""
    contrast_scale: float
    """Contrast of the rods, all together, over the layout's."""
    tilt_deg: float | None
    """Angle between the phantom's axis and the normal of the slices; None where no slices were given."""
    notes: tuple[str, ...]
    """What whoever uses it should know, a sentence each."""

    @property
    def centre_px(self) -> tuple[float, float]:
        """Row and column of the axis, the median over the images."""
        row, column = np.median(self.centres_px, axis=0)
        return float(row), float(column)

    def sites_px(self, image: int | None = None) -> Array:
        """Middles of the layout's rods in an image (None: about `centre_px`), row and column, `(n_rods, 2)`."""
        row, column = self.centre_px if image is None else self.centres_px[image]
        x, y = self.layout.sites_mm(self.roll_deg)
        return np.stack([row + y / self.pixel_mm, column + x / self.pixel_mm], axis=1)

    def sentence(self) -> str:
        """What was found, in one line."""
        (row, column), diameter = self.centre_px, 2.0 * self.radius_px * self.pixel_mm
        tilt = "" if self.tilt_deg is None else f", tilt {self.tilt_deg:.2f} degrees"
        return (
            f"{self.layout.name}: centre at row {row:.2f}, column {column:.2f}, diameter {diameter:.1f} mm, roll "
            f"{round(self.roll_deg, 1) + 0.0:.1f} degrees{tilt}, contrast {self.contrast_scale:.2f} × the layout's"
        )


def find_phantom(
    image_hu: NDArray[np.floating],
    layout: PhantomLayout,
    *,
    pixel_mm: float,
    slice_mm: float | None = None,
    roll_deg: float | None = None,
) -> FoundPhantom:
    """Find a phantom in a slice, in repeated scans of it, or in neighbouring slices of one scan.

    The centre is found in every image on its own, the roll in their average.

    Parameters
    ----------
    image_hu
        HU, an offset does not matter; `(height, width)` or `(n, height, width)`.
    layout
        The phantom, see `find_layout`.
    pixel_mm
        Pixel pitch, 0.01 to 20 mm.
    slice_mm
        If the images are neighbouring slices of one scan, in order: their distance, 0.01 to 100 mm. Then the tilt is
        found as well.
    roll_deg
        The roll, −360 to 360 degrees, where it is known and need not be found.

    Raises
    ------
    UserError
        If an image shows no such cylinder, or the roll cannot be told from the images.

    Examples
    --------
    >>> from taskct.tasks.backgrounds.phantom import Phantom
    >>> from taskct.tasks.layout_file import find_layout
    >>> twin = Phantom(n_pixels=256, pixel_mm=1.0, layout="cct189", rods=True)
    >>> image = twin.draw(np.random.default_rng(0), np.arange(1)).total_hu(1.0)[0]
    >>> found = find_phantom(image, find_layout("cct189"), pixel_mm=1.0)
    >>> [round(value, 1) for value in (*found.centre_px, found.radius_px)], abs(found.roll_deg) < 0.2
    ([127.5, 127.5, 100.0], True)
    """
    images = _stack(image_hu)
    axes = find_axes(images, layout, pixel_mm=pixel_mm, slices=slice_mm is not None)
    centres, notes = axes.centres_px, _notes(axes.radius_px, layout.diameter_mm / 2.0 / pixel_mm)
    tilt_deg = None if slice_mm is None else _tilt(centres, pixel_mm, SLICE.check("slice_mm", slice_mm), notes)
    if slice_mm is None and axes.moved_px > 0.0:
        notes.append(
            f"the phantom moved between the scans by up to {axes.moved_px * pixel_mm:.2f} mm; each is cut about its "
            "own centre"
        )
    if roll_deg is None:
        roll = find_roll(images, centres, layout, pixel_mm=pixel_mm)
        degrees, scale = roll.degrees, roll.contrast_scale
        if roll.mirror_lead < LEAST_LEAD:
            notes.append(
                f"seen from its other end, the phantom would fit these scans nearly as well (the layout leads by "
                f"{roll.mirror_lead:.1f} standard deviations): that it is not is taken from the layout"
            )
    else:
        degrees = ROLL.check("roll_deg", roll_deg)
        scale = contrast_scale(images, centres, layout, pixel_mm=pixel_mm, roll_deg=degrees)
        notes.append("the roll was given, not found")
    if abs(scale - 1.0) > USUAL_SCALE:
        notes.append(
            f"the rods' contrast is {scale:.2f} × the layout's: look at the picture, the pixel size and the layout"
        )
    return FoundPhantom(layout, pixel_mm, centres, axes.radius_px, degrees, scale, tilt_deg, tuple(notes))


@dataclass(frozen=True)
class Axes:
    """Where the axis of a phantom meets images."""

    centres_px: Array
    """Row and column in each, `(n, 2)`; alike where the phantom stayed where it was."""
    radius_px: float
    """Of the cylinder, the median."""
    moved_px: float
    """Widest way between two of them along rows or columns; 0 where they are alike."""


def find_axes(images: NDArray[np.floating], layout: PhantomLayout, *, pixel_mm: float, slices: bool = False) -> Axes:
    """Find the axis in every image, without the roll, whatever the dose; see `find_phantom`.

    With `slices` the images are not of one place, so that even small ways between their centres are kept.
    """
    radius_px = layout.diameter_mm / 2.0 / PIXEL.check("pixel_mm", pixel_mm)
    names = ["the image" if len(images) == 1 else f"image {i}" for i in range(1, len(images) + 1)]
    circles = [find_cylinder(image, radius_px=radius_px, name=name) for image, name in zip(images, names, strict=True)]
    centres = np.array([(circle.row, circle.column) for circle in circles])
    moved = float(np.ptp(centres, axis=0).max())
    if moved <= 2.0 * STEADY_PX and not slices:  # of a phantom that stayed, the scatter is of the finding alone
        centres, moved = np.tile(np.median(centres, axis=0), (len(centres), 1)), 0.0
    return Axes(centres, float(np.median([circle.radius for circle in circles])), moved)


def _stack(image_hu: NDArray[np.floating]) -> NDArray[np.floating]:
    images = np.asarray(image_hu)
    images = images[None] if images.ndim == 2 else images
    if images.ndim != 3 or len(images) == 0:
        raise UserError(f"images have the shape {np.shape(image_hu)}: give (height, width) or (n, height, width)")
    return images


def _notes(radius_px: float, stated_px: float) -> list[str]:
    misfit = radius_px / stated_px - 1.0
    if abs(misfit) <= NOTED_MISFIT:
        return []
    wider = "wider" if misfit > 0 else "narrower"
    return [f"the cylinder is {abs(misfit):.1%} {wider} than stated: check the pixel size"]


def _tilt(centres: Array, pixel_mm: float, slice_mm: float, notes: list[str]) -> float:
    """Angle of the axis, degrees, from a straight line through the centres of the slices."""
    if len(centres) < 3:
        raise UserError(f"{len(centres)} slices: the tilt needs at least 3; leave slice_mm out, or give more slices")
    z = np.arange(len(centres)) * slice_mm
    slope = np.polyfit(z, centres * pixel_mm, 1)[0]
    tilt = float(np.degrees(np.arctan(np.hypot(*slope))))
    if tilt > NOTED_TILT_DEG:
        notes.append(f"the phantom is tilted by {tilt:.1f} degrees; every slice is cut about its own centre")
    return tilt
