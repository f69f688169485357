"""What every background must do: what it draws depends on its arguments only, and a case is told by its number."""

from collections.abc import Callable, Collection
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from taskct.tasks.backgrounds import AIR_HU, Background, Drawn
from taskct.testing.check import Check, require, run, suite


def _arrays(drawn: Drawn) -> dict[str, NDArray[np.generic]]:
    """Every array of what was drawn, the ellipses' too, by name."""
    found = {field.name: getattr(drawn, field.name) for field in fields(drawn) if field.name != "ellipses"}
    if drawn.ellipses is not None:
        found |= {f"ellipses.{field.name}": getattr(drawn.ellipses, field.name) for field in fields(drawn.ellipses)}
    return {name: array for name, array in found.items() if array is not None}


class _Suite:
    def __init__(self, make: Callable[[], Background], n: int, pixel_mm: float) -> None:
        self.make, self.n, self.pixel_mm = make, n, pixel_mm

    def draw(self, first: int = 0, n: int | None = None, background: Background | None = None) -> Drawn:
        index = np.arange(first, first + (self.n if n is None else n))
        return (background or self.make()).draw(np.random.default_rng(0), index)

    def images_are_square_finite_float32(self) -> None:
        drawn = self.draw()
        image = drawn.image_hu
        require(image.dtype == np.float32, f"image_hu is {image.dtype}, not float32")
        require(
            image.ndim == 3 and len(image) == self.n and image.shape[1] == image.shape[2],
            f"image_hu of {self.n} objects has shape {image.shape}, not ({self.n}, side, side)",
        )
        require(bool(np.isfinite(image).all()), "image_hu is not finite")

    def every_object_has_a_case_number(self) -> None:
        case = self.draw().case
        require(case.dtype == np.int64, f"case is {case.dtype}, not int64")
        require(case.shape == (self.n,), f"case of {self.n} objects has shape {case.shape}")
        require(bool((case >= 0).all()), "a case number is below 0")

    def further_arrays_fit_the_images(self) -> None:
        drawn = self.draw()
        wanted: dict[str, type] = {"organ": np.bool_, "noisy_hu": np.float32}
        for name, array in _arrays(drawn).items():
            if name in wanted:
                require(array.dtype == wanted[name], f"{name} is {array.dtype}, not {wanted[name].__name__}")
                require(array.shape == drawn.image_hu.shape, f"{name} has shape {array.shape}, unlike image_hu")
            elif name.startswith("ellipses."):
                require(
                    array.ndim == 2 and len(array) == self.n, f"{name} has shape {array.shape}, not (n, n_ellipses)"
                )
                require(bool(np.isfinite(array).all()), f"{name} is not finite")
        if drawn.ellipses is not None:
            axes = drawn.ellipses.half_x_mm, drawn.ellipses.half_y_mm
            require(all(bool((half > 0).all()) for half in axes), "an ellipse has a semi-axis that is not above 0")

    def nothing_attenuates_less_than_air(self) -> None:
        least = float(self.draw().total_hu(self.pixel_mm).min())
        require(least >= AIR_HU - 1e-2, f"the least value is {least} HU, and air has {AIR_HU}")

    def the_same_seed_draws_the_same(self) -> None:
        first, second = _arrays(self.draw()), _arrays(self.draw())
        require(list(first) == list(second), f"it gave {list(first)} and then {list(second)}")
        for name, array in first.items():
            np.testing.assert_array_equal(second[name], array, err_msg=name)

    def earlier_draws_leave_no_trace(self) -> None:
        used = self.make()
        self.draw(background=used)
        self.draw(2, 3, background=used)
        fresh = _arrays(self.draw())
        for name, array in _arrays(self.draw(background=used)).items():
            np.testing.assert_array_equal(array, fresh[name], err_msg=name)

    def the_number_tells_the_case(self) -> None:
        """So that splits and chunks of a split are drawn apart."""
        whole = self.draw().case
        half = self.n // 2
        parts = np.concatenate([self.draw(0, half).case, self.draw(half, self.n - half).case])
        np.testing.assert_array_equal(parts, whole)


def background_checks(
    make: Callable[[], Background], *, pixel_mm: float, n: int = 6, without: Collection[str] = ()
) -> list[Check]:
    """Checks of a background.

    Parameters
    ----------
    make
        Gives a new background. Two that it gives are the same.
    pixel_mm
        Pixel of its object grid, mm.
    n
        Objects that are drawn, at least 2.
    without
        Names of checks to leave out, where the class makes no such promise.

    Returns
    -------
    Checks, each of which can be called alone.

    Examples
    --------
    >>> from taskct.tasks.backgrounds import Uniform
    >>> checks = background_checks(lambda: Uniform(n_pixels=64, pixel_mm=5.0), pixel_mm=5.0)
    >>> [str(check) for check in checks][:2]
    ['images_are_square_finite_float32', 'every_object_has_a_case_number']
    """
    one = _Suite(make, n, pixel_mm)
    return suite(
        [
            one.images_are_square_finite_float32,
            one.every_object_has_a_case_number,
            one.further_arrays_fit_the_images,
            one.nothing_attenuates_less_than_air,
            one.the_same_seed_draws_the_same,
            one.earlier_draws_leave_no_trace,
            one.the_number_tells_the_case,
        ],
        without,
    )


def check_background(
    make: Callable[[], Background], *, pixel_mm: float, n: int = 6, without: Collection[str] = ()
) -> None:
    """Run every check of a background, see `background_checks`.

    Raises
    ------
    AssertionError
        At the first check that fails, with its name.

    Examples
    --------
    >>> from taskct.tasks.backgrounds import Abdomen
    >>> check_background(lambda: Abdomen(n_pixels=96, pixel_mm=4.0), pixel_mm=4.0)
    """
    run(background_checks(make, pixel_mm=pixel_mm, n=n, without=without))
