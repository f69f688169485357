"""Every check of an observer can fail: a class that breaks one law is caught by that law's check."""

from typing import ClassVar

import numpy as np
import pytest

from taskct.observers import LinearObserver, PathObserver
from taskct.observers.base import Observer, check_images
from taskct.ranges import Range
from taskct.testing import check_observer, observer_checks


class MeanDifference(PathObserver):
    """Non-prewhitening observer whose template shrinks with a ridge; conforms."""

    path_parameter = "ridge"
    ranges: ClassVar = {"ridge": Range(0.0)}

    def __init__(self, ridge=0.1):
        self.ridge = self.checked("ridge", ridge)

    @classmethod
    def _fit_together(cls, observers, trials):
        difference = trials.class_means[0] - trials.class_means[1]
        for observer in observers:
            observer.template_ = (difference / trials.pixels.var() / (1.0 + observer.ridge)).reshape(8, 8)
            middle = trials.class_means.mean(axis=0).reshape(8, 8)
            observer.offset_ = -float((observer.template_ * middle).sum())


class ReturnsNothing(MeanDifference):
    def fit(self, images, signal_present):
        super().fit(images, signal_present)


class SinglePrecision(MeanDifference):
    def test_statistic(self, images):
        return super().test_statistic(images).astype(np.float32)


class UpsideDown(MeanDifference):
    def test_statistic(self, images):
        return -super().test_statistic(images)


class Unseeded(MeanDifference):
    def test_statistic(self, images):
        statistic = super().test_statistic(images)
        return statistic + 1e-3 * np.random.default_rng().standard_normal(len(statistic))


class Remembering(MeanDifference):
    n_fits = 0

    def _learn(self, images, signal_present):
        super()._learn(images, signal_present)
        self.n_fits += 1
        self.template_ = self.template_ * self.n_fits


class LastMatters(MeanDifference):
    def _learn(self, images, signal_present):
        super()._learn(images, signal_present)
        self.template_ = self.template_ + 1e-3 * images[-1].std() / images.std()


class WithoutOffset(MeanDifference):
    def test_statistic(self, images):
        return np.einsum("nij,ij->n", check_images(images, self.template_.shape).astype(float), self.template_)

    def _learn(self, images, signal_present):
        super()._learn(images, signal_present)
        self.template_ = self.template_ + 0.01 / images.std()  # no longer of sum about 0


class OfHU(MeanDifference):
    def _learn(self, images, signal_present):
        super()._learn(images, signal_present)
        self.template_ = self.template_ * images.std()


class NotItsTemplate(MeanDifference):
    def test_statistic(self, images):
        return np.sinh(super().test_statistic(images))


class PathOfItsOwn(MeanDifference):
    @classmethod
    def _fit_together(cls, observers, trials):
        super()._fit_together(observers, trials)
        if len(observers) > 1:
            observers[-1].template_ = 1.1 * observers[-1].template_


class NeverRefuses(Observer):
    """Learns and judges whatever it is given."""

    template = np.ones(1)

    def fit(self, images, signal_present):
        images = np.nan_to_num(np.asarray(images)).reshape(len(images), -1)
        present = np.resize(np.asarray(signal_present).astype(bool), len(images))
        self.template = images[present].sum(axis=0) - images[~present].sum(axis=0)
        return self

    def test_statistic(self, images):
        flat = np.nan_to_num(np.asarray(images, dtype=float)).reshape(len(images), -1)
        return flat @ np.resize(self.template, flat.shape[1])


class NoLook(LinearObserver):
    """Checks its training but not what it judges."""

    def _learn(self, images, signal_present):
        self.template_ = images[signal_present].mean(axis=0) - images[~signal_present].mean(axis=0)
        self.offset_ = 0.0

    def test_statistic(self, images):
        return np.nan_to_num(images.reshape(len(images), -1) @ np.ones(images[0].size))


BROKEN = {
    "fit_returns_the_observer_and_leaves_the_images": ReturnsNothing,
    "statistic_is_a_finite_float64_a_trial": SinglePrecision,
    "higher_means_present": UpsideDown,
    "same_seed_same_answer": Unseeded,
    "refit_equals_fresh_fit": Remembering,
    "order_of_training_trials_does_not_matter": LastMatters,
    "constant_offset_changes_nothing": WithoutOffset,
    "scale_changes_nothing_but_the_template": OfHU,
    "statistics_differ_by_the_template_times_the_difference": NotItsTemplate,
    "path_equals_separate_fits": PathOfItsOwn,
    "not_fitted_is_refused": NeverRefuses,
    "one_class_is_refused": NeverRefuses,
    "wrong_trials_are_refused": NeverRefuses,
    "images_that_are_not_finite_are_refused": NeverRefuses,
    "another_shape_than_fitted_is_refused": NoLook,
}


def test_a_class_that_keeps_the_laws_passes():
    check_observer(MeanDifference)


def test_every_check_is_here():
    assert {str(check) for check in observer_checks(MeanDifference)} == set(BROKEN)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_class_is_caught(name):
    (check,) = [check for check in observer_checks(BROKEN[name]) if str(check) == name]
    with pytest.raises(AssertionError):
        check()
    with pytest.raises(AssertionError):
        check_observer(BROKEN[name])


def test_what_the_class_does_not_promise_can_be_left_out():
    check_observer(
        UpsideDown,
        without=["higher_means_present", "statistics_differ_by_the_template_times_the_difference"],
    )


def test_a_setting_in_hu_is_scaled():
    class Noisy(LinearObserver):
        def __init__(self, noise_hu=5.0):
            self.noise_hu = noise_hu

        def _learn(self, images, signal_present):
            self.template_ = images[signal_present].mean(axis=0) - images[~signal_present].mean(axis=0)
            self.template_ = self.template_ / images.var()
            self.offset_ = -float((self.template_ * images.mean(axis=0)).sum())
            self.internal_std_ = self.noise_hu * float(np.linalg.norm(self.template_))

    check_observer(Noisy, scaled=lambda k: Noisy(5.0 * k))
    with pytest.raises(AssertionError, match="scale_changes_nothing"):
        check_observer(Noisy)
