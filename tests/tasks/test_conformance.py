"""What every background must do: taskct's own suite."""

from collections.abc import Callable

import numpy as np
import pytest

from taskct.tasks.backgrounds import (
    Abdomen,
    Background,
    ClusteredLumpy,
    LabelMap,
    Lumpy,
    Phantom,
    PowerLaw,
    Slices,
    Textured,
    Thorax,
    Tissue,
    Torso,
    Uniform,
)
from taskct.testing import background_checks

GRID = {"n_pixels": 80, "pixel_mm": 5.2, "first_case": 40}
RNG = np.random.default_rng(0)
SLICES = RNG.normal(40.0, 20.0, (3, 20, 26)).astype(np.float32)
CASE = np.array([7, 7, 9])
MOVED = {"pixel_mm": (2.0, 1.5), "case": CASE, "n_pixels": 32, "object_pixel_mm": 1.3, "shift_mm": 4.0}
OWN_PITCH = MOVED | {"pixel_mm": (1.3, 1.3), "as_they_are": True}
LABELS = RNG.integers(0, 3, (3, 20, 26))
TISSUES = {1: Tissue(50.0, case_std_hu=5.0), 2: Tissue(110.0, texture_hu=4.0)}
LUMPS = {"lump_hu": 10.0, "mean_lumps": 60.0, "lump_sigma_mm": (6.0, 12.0), "n_vessels": 4}

BACKGROUNDS: dict[str, tuple[Callable[[], Background], float]] = {
    "torso": (lambda: Torso(**GRID, **LUMPS), 5.2),
    "abdomen": (lambda: Abdomen(**GRID), 5.2),
    "thorax": (lambda: Thorax(**GRID), 5.2),
    "thorax without texture": (lambda: Thorax(**GRID, texture=None), 5.2),
    "uniform": (lambda: Uniform(**GRID, mean_hu=50.0), 5.2),
    "phantom": (lambda: Phantom(**GRID, layout="cct189"), 5.2),
    "phantom with rods": (lambda: Phantom(**GRID, layout="acr464", rods=True, roll_deg=30.0), 5.2),
    "whole grid": (lambda: Uniform(**GRID, body_mm=None), 5.2),
    "lumpy": (lambda: Textured(**GRID, texture=Lumpy(std_hu=10.0, sigma_mm=8.0)), 5.2),
    "clustered lumpy": (lambda: Textured(**GRID, texture=ClusteredLumpy(std_hu=10.0, unit_mm=4.0)), 5.2),
    "power law": (lambda: Textured(**GRID, texture=PowerLaw(std_hu=10.0)), 5.2),
    "slices": (lambda: Slices(image_hu=SLICES, organ=SLICES > 40.0, **MOVED), 1.3),
    "paired slices": (lambda: Slices(image_hu=SLICES, noisy_hu=SLICES + 9.0, **OWN_PITCH), 1.3),
    "label map": (lambda: LabelMap(labels=LABELS, tissues=TISSUES, organ=2, **MOVED), 1.3),
}

# The lungs' texture, normal of 32 HU, goes below air in 1e-4 of the thorax's pixels.
WITHOUT = {"thorax": ["nothing_attenuates_less_than_air"]}


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}-{check}")
        for name, (make, pixel_mm) in BACKGROUNDS.items()
        for check in background_checks(make, pixel_mm=pixel_mm, without=WITHOUT.get(name, ()))
    ],
)
def test_suite(check):
    check()
