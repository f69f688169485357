"""Every check of a background can fail."""

from dataclasses import replace

import numpy as np
import pytest

from taskct.tasks.backgrounds import Drawn, Lumpy, Textured
from taskct.testing import background_checks, check_background

PIXEL_MM = 5.0


class Body(Textured):
    """A textured body; conforms."""

    def __init__(self):
        super().__init__(n_pixels=64, pixel_mm=PIXEL_MM, texture=Lumpy(std_hu=10.0, sigma_mm=15.0))


class DoublePrecision(Body):
    def draw(self, rng, index):
        drawn = super().draw(rng, index)
        return replace(drawn, image_hu=drawn.image_hu.astype(np.float64))


class WithoutCases(Body):
    def draw(self, rng, index):
        return replace(super().draw(rng, index), case=np.zeros(1, dtype=np.int64))


class SmallOrgan(Body):
    def draw(self, rng, index):
        drawn = super().draw(rng, index)
        return replace(drawn, organ=drawn.organ[:, 1:, 1:])


class Vacuum(Body):
    def draw(self, rng, index):
        drawn = super().draw(rng, index)
        return replace(drawn, image_hu=drawn.image_hu - 100.0)


class Unseeded(Body):
    def draw(self, rng, index):
        return super().draw(np.random.default_rng(), index)


class Tiring(Body):
    n_drawn = 0

    def draw(self, rng, index) -> Drawn:
        drawn = super().draw(rng, index)
        self.n_drawn += len(index)
        return replace(drawn, image_hu=drawn.image_hu + np.float32(self.n_drawn))


class CountsAnew(Body):
    def draw(self, rng, index):
        return super().draw(rng, index - index[0])


BROKEN = {
    "images_are_square_finite_float32": DoublePrecision,
    "every_object_has_a_case_number": WithoutCases,
    "further_arrays_fit_the_images": SmallOrgan,
    "nothing_attenuates_less_than_air": Vacuum,
    "the_same_seed_draws_the_same": Unseeded,
    "earlier_draws_leave_no_trace": Tiring,
    "the_number_tells_the_case": CountsAnew,
}


def test_a_class_that_keeps_the_laws_passes():
    check_background(Body, pixel_mm=PIXEL_MM)


def test_every_check_is_here():
    assert {str(check) for check in background_checks(Body, pixel_mm=PIXEL_MM)} == set(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_class_is_caught(name):
    (check,) = [check for check in background_checks(BROKEN[name], pixel_mm=PIXEL_MM) if str(check) == name]
    with pytest.raises(AssertionError):
        check()
    with pytest.raises(AssertionError):
        check_background(BROKEN[name], pixel_mm=PIXEL_MM)
