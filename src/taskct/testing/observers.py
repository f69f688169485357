"""What every observer must do, on small Gaussian trials of 8 × 8 pixels."""

import copy
import functools
import warnings
from collections.abc import Callable, Collection

import numpy as np
from numpy.typing import NDArray

from taskct.observers import LinearObserver, Observer, PathObserver, SmallSampleWarning
from taskct.testing.check import Check, refused, require, run, suite
from taskct.testing.gaussian import correlated_task

Images = NDArray[np.floating]
Make = Callable[[], Observer]
HU_SCALE = 4.0
PATHS = {"rank": (2.0, 20.0, 5.0, 5.0)}
PATH = (0.01, 1.0, 0.1, 0.1)


class _Suite:
    def __init__(self, make: Make, scaled: Callable[[float], Observer] | None) -> None:
        self.make = make
        self.make_scaled = scaled or (lambda _: make())
        self.task = correlated_task()
        self.images, self.truth = self.task.draw(50, seed=1)
        self.unseen, self.other_truth = self.task.draw(40, seed=2)

    @functools.cached_property
    def fitted(self) -> Observer:
        return self.fit(self.make(), self.images)

    @functools.cached_property
    def expected(self) -> NDArray[np.float64]:
        """Statistic of the unseen images by a fresh observer."""
        return self.fitted.test_statistic(self.unseen)

    def fit(self, observer: Observer, images: Images, truth: NDArray[np.bool_] | None = None) -> Observer:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)  # all trials here are few
            return observer.fit(images, self.truth if truth is None else truth)

    def fit_returns_the_observer_and_leaves_the_images(self) -> None:
        observer, images = self.make(), self.images.copy()
        require(self.fit(observer, images) is observer, "fit must return the observer itself")
        require(np.array_equal(images, self.images), "fit changed the images")

    def statistic_is_a_finite_float64_a_trial(self) -> None:
        before = self.unseen.copy()
        statistic = self.fitted.test_statistic(self.unseen)
        require(isinstance(statistic, np.ndarray), f"test_statistic gave a {type(statistic).__name__}, not an array")
        require(statistic.dtype == np.float64, f"test_statistic gave {statistic.dtype}, not float64")
        require(statistic.shape == (40,), f"test_statistic of 40 trials has shape {statistic.shape}, not (40,)")
        require(bool(np.isfinite(statistic).all()), "test_statistic is not finite")
        require(np.array_equal(self.unseen, before), "test_statistic changed the images")
        none = self.fitted.test_statistic(self.unseen[:0])
        require(none.shape == (0,), f"test_statistic of no trials has shape {none.shape}, not (0,)")

    def higher_means_present(self) -> None:
        images, truth = self.task.draw(400, seed=1)
        unseen, present = self.task.draw(400, seed=2)
        for sign, word in ((1.0, "brighter"), (-1.0, "darker")):
            statistic = self.fit(self.make(), sign * images, truth).test_statistic(sign * unseen)
            # The ideal d' is 1.1, that of an observer that does not prewhiten 0.6, the standard error 0.1: a d' of 0
            # passes with probability 2e-3.
            gap = float((statistic[present].mean() - statistic[~present].mean()) / statistic[present].std())
            require(
                gap > 0.3, f"a signal {word} than its surroundings has d' {gap:.2f}; an observer reaches 0.6 to 1.1"
            )

    def same_seed_same_answer(self) -> None:
        again = self.fit(self.make(), self.images).test_statistic(self.unseen)
        np.testing.assert_array_equal(again, self.expected)

    def refit_equals_fresh_fit(self) -> None:
        observer = self.fit(self.make(), self.unseen, self.other_truth)
        refitted = self.fit(observer, self.images)
        np.testing.assert_array_equal(refitted.test_statistic(self.unseen), self.expected)

    def order_of_training_trials_does_not_matter(self) -> None:
        order = np.random.default_rng(3).permutation(50)
        shuffled = self.fit(self.make(), self.images[order], self.truth[order])
        np.testing.assert_allclose(shuffled.test_statistic(self.unseen), self.expected, rtol=1e-6)

    def constant_offset_changes_nothing(self) -> None:
        moved = self.fit(self.make(), self.images + 256).test_statistic(self.unseen + 256)
        np.testing.assert_allclose(moved, self.expected, atol=1e-4 * self.expected.std())  # float32 images

    def scale_changes_nothing_but_the_template(self) -> None:
        scaled = self.fit(self.make_scaled(HU_SCALE), HU_SCALE * self.images)
        np.testing.assert_allclose(scaled.test_statistic(HU_SCALE * self.unseen), self.expected, rtol=1e-6)
        if isinstance(scaled, LinearObserver) and isinstance(self.fitted, LinearObserver):  # a template is in 1/HU
            np.testing.assert_allclose(HU_SCALE * scaled.template_, self.fitted.template_, rtol=1e-6)

    def statistics_differ_by_the_template_times_the_difference(self) -> None:
        observer = self.fitted
        assert isinstance(observer, LinearObserver)
        require(observer.template_.shape == (8, 8), f"template_ has shape {observer.template_.shape}, not (8, 8)")
        first, second = self.unseen[:20], self.unseen[20:]  # internal noise is the same for trial i of both
        np.testing.assert_allclose(
            observer.test_statistic(first) - observer.test_statistic(second),
            np.einsum("nij,ij->n", first.astype(float) - second, observer.template_),
            rtol=1e-9,
        )

    def path_equals_separate_fits(self) -> None:
        observer = self.make()
        assert isinstance(observer, PathObserver)
        name = observer.path_parameter
        values = list(PATHS.get(name, PATH))
        for n_trials in (40, 200):  # fewer and more trials than pixels
            images, truth = self.task.draw(n_trials, seed=4)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SmallSampleWarning)
                path = observer.fit_path(images, truth, values)
                require(observer.fit_path(images, truth, []) == [], "fit_path of no values must be empty")
            require(not hasattr(observer, "template_"), "fit_path fitted the observer itself, and not copies alone")
            require(len(path) == len(values), f"fit_path gave {len(path)} observers for {len(values)} values")
            for value, member in zip(values, path, strict=True):
                require(getattr(member, name) == value, f"a member's {name} is {getattr(member, name)}, not {value}")
                single = copy.copy(self.make())
                setattr(single, name, value)
                self.fit(single, images, truth)
                np.testing.assert_allclose(
                    member.test_statistic(self.unseen), single.test_statistic(self.unseen), rtol=1e-5, atol=1e-7
                )

    def not_fitted_is_refused(self) -> None:
        refused(RuntimeError, "test_statistic before fit", self.make().test_statistic, self.images)

    def one_class_is_refused(self) -> None:
        for present in (True, False):
            refused(ValueError, "one class", self.fit, self.make(), self.images, np.full(50, present))

    def wrong_trials_are_refused(self) -> None:
        images, truth = self.images, self.truth
        refused(ValueError, "a truth that is too short", self.fit, self.make(), images, truth[1:])
        refused(ValueError, "a truth that is not bool", self.fit, self.make(), images, truth.astype(int))
        refused(ValueError, "images of 4 axes", self.fit, self.make(), images[:, None], truth)
        refused(ValueError, "images that are all the same", self.fit, self.make(), np.ones_like(images), truth)

    def images_that_are_not_finite_are_refused(self) -> None:
        for value in (np.nan, np.inf):
            broken = self.images.copy()
            broken[[3, 7], 0, 0] = value
            refused(ValueError, f"fit on images with {value}", self.fit, self.make(), broken)
            refused(ValueError, f"test_statistic of images with {value}", self.fitted.test_statistic, broken)

    def another_shape_than_fitted_is_refused(self) -> None:
        refused(ValueError, "images of another shape", self.fitted.test_statistic, self.images[:, 1:])


def observer_checks(
    make: Make, *, scaled: Callable[[float], Observer] | None = None, without: Collection[str] = ()
) -> list[Check]:
    """Checks of an observer.

    Parameters
    ----------
    make
        Gives a new observer that is not fitted, for images of 8 × 8 pixels.
    scaled
        Gives the same observer for images whose HU are so many times as large; None: `make` does. Needed by an
        observer that has a setting in HU.
    without
        Names of checks to leave out, where the class makes no such promise.

    Returns
    -------
    Checks, each of which can be called alone; those of templates and paths for a `LinearObserver` and a
    `PathObserver` only.

    Examples
    --------
    >>> from taskct.observers import NPW
    >>> [str(check) for check in observer_checks(NPW)][:2]
    ['fit_returns_the_observer_and_leaves_the_images', 'statistic_is_a_finite_float64_a_trial']
    """
    made, one = make(), _Suite(make, scaled)
    laws = [
        one.fit_returns_the_observer_and_leaves_the_images,
        one.statistic_is_a_finite_float64_a_trial,
        one.higher_means_present,
        one.same_seed_same_answer,
        one.refit_equals_fresh_fit,
        one.order_of_training_trials_does_not_matter,
        one.constant_offset_changes_nothing,
        one.scale_changes_nothing_but_the_template,
        one.not_fitted_is_refused,
        one.one_class_is_refused,
        one.wrong_trials_are_refused,
        one.images_that_are_not_finite_are_refused,
        one.another_shape_than_fitted_is_refused,
    ]
    if isinstance(made, LinearObserver):
        laws.append(one.statistics_differ_by_the_template_times_the_difference)
    if isinstance(made, PathObserver):
        laws.append(one.path_equals_separate_fits)
    return suite(laws, without)


def check_observer(
    make: Make, *, scaled: Callable[[float], Observer] | None = None, without: Collection[str] = ()
) -> None:
    """Run every check of an observer, see `observer_checks`.

    Raises
    ------
    AssertionError
        At the first check that fails, with its name.

    Examples
    --------
    >>> from taskct.observers import NPWE
    >>> check_observer(lambda: NPWE(pixel_mm=0.7))
    """
    run(observer_checks(make, scaled=scaled, without=without))
