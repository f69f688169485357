"""Small reading studies of discs in white noise, of any design."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from taskct.reading_room.cases import CaseImages, Material
from taskct.reading_room.design import ReadingPlan
from taskct.reading_room.folder import StudyFolder
from taskct.reading_room.key import Lesion
from taskct.reading_room.making import make_study
from taskct.reading_room.protocol import Design

PIXEL_MM = 1.0
RADIUS_PX = 3.0
NOISE_HU = 20.0
BACKGROUND_HU = 50.0


def disc(size: int, row: float, column: float, contrast_hu: float) -> NDArray[np.float64]:
    """A disc on zero, HU."""
    rows, columns = np.mgrid[:size, :size]
    return np.where(np.hypot(rows - row, columns - column) <= RADIUS_PX, contrast_hu, 0.0)


def disc_cases(
    rng: np.random.Generator,
    classes: tuple[int, int],
    arms: Sequence[str],
    *,
    size: int,
    contrast_hu: float,
    in_middle: bool = True,
) -> CaseImages:
    """So many cases with a disc, then so many without; each arm has noise of its own."""
    n = sum(classes)
    present = np.arange(n) < classes[0]
    middle = (size - 1) / 2.0
    places = np.full((n, 2), middle) if in_middle else rng.uniform(5.0, size - 6.0, size=(n, 2)).round()
    signal = np.array(
        [
            disc(size, *place, contrast_hu) if p else np.zeros((size, size))
            for place, p in zip(places, present, strict=True)
        ]
    )
    images = {
        arm: np.rint(BACKGROUND_HU + signal + rng.normal(0.0, NOISE_HU, signal.shape)).astype(np.int16) for arm in arms
    }
    lesions = tuple(
        (Lesion(float(row), float(column), 2.0 * RADIUS_PX * PIXEL_MM, contrast_hu),) if p else ()
        for (row, column), p in zip(places, present, strict=True)
    )
    names = tuple(f"case {number + 1}" for number in range(n))
    return CaseImages(images, names, present, lesions, names, ("",) * n)


def make_disc_study(
    path: Path,
    design: Design = "2afc",
    *,
    readers: Sequence[str] = ("reader-1",),
    n_cases: int = 6,
    arms: Sequence[str] = ("plain", "other"),
    size: int = 32,
    contrast_hu: float = 15.0,
    n_training: int = 2,
    scale: int | None = None,
    break_every: int = 50,
    adjustable: bool = True,
    seed: int = 0,
) -> StudyFolder:
    """Make a study of discs in noise: `n_cases` sets of forced choice, else images, in each arm.

    The disc is in the middle, but in locate and froc, where it may be anywhere.
    """
    rng = np.random.default_rng(seed)
    plan = ReadingPlan(
        design, tuple(readers), scale=scale, break_every=break_every, adjustable=adjustable, title="Discs", seed=seed
    )
    in_middle = design not in ("locate", "froc")

    def cases(n: int, of: Sequence[str], hu: float) -> CaseImages:
        others = plan.n_alternatives - 1
        classes = (n, n * others) if others else ((n + 1) // 2, n // 2)
        return disc_cases(rng, classes, of, size=size, contrast_hu=hu, in_middle=in_middle)

    training = cases(n_training, arms[:1], 4.0 * contrast_hu + 60.0) if n_training else None
    material = Material(cases(n_cases, arms, contrast_hu), training, PIXEL_MM, (BACKGROUND_HU, 200.0), "discs in noise")
    return make_study(path, material, plan)
