"""Label maps as backgrounds: a segmentation in which every organ gets HU and texture of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.tasks.backgrounds.drawn import AIR_HU, Drawn
from taskct.tasks.backgrounds.fields import LONGEST_MM, PowerLaw, Texture
from taskct.tasks.backgrounds.slices import SourceGrid, draw_placements


@dataclass(frozen=True)
class Tissue:
    """What a label stands for."""

    mean_hu: float
    """Mean over cases, HU, at least −1000."""
    case_std_hu: float = 0.0
    """Standard deviation from draw to draw, HU."""
    texture_hu: float = 0.0
    """Standard deviation of the texture within it, HU."""


class LabelMap:
    """A segmentation as a background: each draw is a slice with new HU and texture, mirrored and shifted at random.

    Parameters
    ----------
    labels, pixel_mm
        Integers, `(n_slices, height, width)` or `(height, width)`, and their row and column spacing, mm.
    tissues
        What every label stands for. Label 0 is air if left out.
    organ
        The label, or labels, that a lesion may lie in; None: anywhere.
    case, n_pixels, object_pixel_mm, shift_mm
        As for `Slices`.
    texture
        Its shape; every tissue scales it to `texture_hu`, so its own standard deviation is 1 HU.

    Raises
    ------
    UserError, ValueError
        If `labels` are no integers, `case` is not one number a slice, a label stands for nothing or for less than air,
        or no slice has a pixel of the organ.

    Examples
    --------
    >>> labels = np.zeros((8, 8), dtype=int)
    >>> labels[2:6, 2:6] = 5
    >>> liver = LabelMap(labels=labels, pixel_mm=(1, 1), tissues={5: Tissue(100)}, organ=5, case=np.array([0]),
    ...                  n_pixels=8, object_pixel_mm=1, shift_mm=0)
    >>> drawn = liver.draw(np.random.default_rng(0), np.arange(1))
    >>> float(drawn.image_hu.max()), int(drawn.organ.sum())
    (100.0, 16)
    """

    def __init__(
        self,
        *,
        labels: NDArray[np.integer],
        pixel_mm: tuple[float, float],
        tissues: Mapping[int, Tissue],
        case: NDArray[np.int64],
        n_pixels: int,
        object_pixel_mm: float,
        shift_mm: float,
        organ: int | tuple[int, ...] | None = None,
        texture: Texture = PowerLaw(std_hu=1.0, longest_mm=LONGEST_MM),  # noqa: B008, immutable
    ) -> None:
        labels = labels[None] if labels.ndim == 2 else labels
        if not np.issubdtype(labels.dtype, np.integer) or len(labels) == 0 or len(case) != len(labels):
            raise ValueError(f"{len(labels)} label slices of type {labels.dtype} with {len(case)} case numbers")
        tissues = {0: Tissue(AIR_HU)} | dict(tissues)
        found, which = np.unique(labels, return_inverse=True)
        missing = [int(label) for label in found if int(label) not in tissues]
        if missing:
            raise UserError(
                f"no HU for the labels {', '.join(map(str, missing))} of the label map: add them to background.organs"
            )
        low = [label for label, tissue in tissues.items() if tissue.mean_hu < AIR_HU]
        if low:
            raise UserError(f"label {low[0]} has {tissues[low[0]].mean_hu:g} HU, less than air: give −1000 HU or more")
        chosen = () if organ is None else (organ,) if isinstance(organ, int) else organ
        self.organ = None if organ is None else np.isin(labels, chosen)
        if self.organ is not None and not self.organ.any():
            raise UserError(
                f"label {', '.join(map(str, chosen))} for the lesion is in none of the {len(labels)} slices: choose "
                f"one of {', '.join(str(int(label)) for label in found)}"
            )
        self.tissues = [tissues[int(label)] for label in found]
        self.which = which.reshape(labels.shape).astype(np.int32)  # place in `tissues` of every pixel
        self.case = case
        self.grid = SourceGrid(pixel_mm, n_pixels, object_pixel_mm)
        self.shift_mm = shift_mm
        self.texture = texture

    def draw(self, rng: np.random.Generator, index: NDArray[np.int64]) -> Drawn:
        """Draw a placement with HU of its own for every number; the slices take turns."""
        n, which = len(index), index % len(self.which)
        placements = draw_placements(rng, n, shift_mm=self.shift_mm)
        mean, spread, strength = (
            np.array([getattr(tissue, name) for tissue in self.tissues], dtype=np.float32)
            for name in ("mean_hu", "case_std_hu", "texture_hu")
        )
        level = mean + spread * rng.standard_normal((n, len(mean))).astype(np.float32)
        image = np.empty((n, self.grid.n_pixels, self.grid.n_pixels), dtype=np.float32)
        textured, organ = np.zeros_like(image), None if self.organ is None else np.empty(image.shape, dtype=bool)
        for k, (i, placement) in enumerate(zip(which, placements, strict=True)):
            image[k] = self.grid.slice(level[k][self.which[i]], placement)
            if strength.any():
                textured[k] = self.grid.slice(strength[self.which[i]], placement, outside_hu=0.0)
            if organ is not None and self.organ is not None:
                organ[k] = self.grid.mask(self.organ[i], placement)
        if strength.any():
            n_pixels, pixel_mm = self.grid.n_pixels, self.grid.object_pixel_mm
            image += textured * self.texture.draw(rng, n, n_pixels=n_pixels, pixel_mm=pixel_mm)
        return Drawn(image_hu=image, case=self.case[which], organ=organ)
