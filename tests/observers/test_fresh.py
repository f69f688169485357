"""One observer that the trials do not suit takes nothing from the others."""

import warnings
from dataclasses import asdict

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.metrics.roc import auc
from taskct.observer_registry import conditions
from taskct.observers import SmallSampleWarning
from taskct.observers.base import TrainingTrials
from taskct.observers.fresh import Eye, each_alone, fit_fresh, observer_told, small_samples


def refuse(name):
    if name.startswith("bad"):
        raise UserError(f"{name} does not fit")
    return name.upper()


def test_the_others_go_on():
    assert each_alone(["a", "bad", "c"], refuse) == ({"a": "A", "c": "C"}, {"bad": "bad does not fit"})
    assert each_alone([], refuse) == ({}, {})


def test_all_failed():
    with pytest.raises(UserError, match="bad1: bad1 does not fit; bad2: bad2 does not fit"):
        each_alone(["bad1", "bad2"], refuse)

    def few(name):
        raise UserError("too few")

    with pytest.raises(UserError, match=r"^bad, bad_too: too few$"):
        each_alone(["bad", "bad_too"], few)


def test_a_fault_of_the_program_goes_on_up():
    with pytest.raises(ZeroDivisionError):
        each_alone(["a"], lambda name: 1 / 0)


def test_what_small_samples_say_is_collected_once_and_other_warnings_go_on() -> None:
    def fit() -> list[str]:
        with small_samples() as said:
            for _ in range(2):
                warnings.warn("few trials", SmallSampleWarning, stacklevel=1)
            warnings.warn("overflow", RuntimeWarning, stacklevel=1)
        return said

    with pytest.warns(RuntimeWarning, match="overflow") as caught:
        said = fit()
    assert said == ["few trials"]
    assert [str(one.message) for one in caught] == ["overflow"]


def test_a_fit_says_what_was_chosen_and_that_trials_are_few() -> None:
    rng = np.random.default_rng(0)
    present = np.arange(40) % 2 == 0
    images = rng.normal(0.0, 10.0, (40, 8, 8)) + 12.0 * present[:, None, None]
    eye = Eye(0.7, 500.0, 1.0, 3.0)
    trials = TrainingTrials.of(images[:20], present[:20])
    validation = images[20:], present[20:]
    chosen = fit_fresh(observer_told("ho", eye, seed=0), trials, validation=validation, values=[1.0, 10.0])
    assert chosen.value in (1.0, 10.0)
    assert any("20 training trials" in note for note in chosen.notes)
    plain = fit_fresh(observer_told("npw", eye, seed=0), trials, validation=validation)
    statistic = plain.observer.test_statistic(validation[0])
    assert plain.value is None
    assert plain.validation_auc == auc(statistic[present[20:]], statistic[~present[20:]])


def test_an_eye_outside_what_there_is_is_refused() -> None:
    for name, allowed in conditions("pixel_mm", "viewing_distance_mm", "magnification", "internal_noise_hu").items():
        for value in allowed.outside():
            with pytest.raises(UserError, match=f"^{name} is "):
                Eye(**{**asdict(Eye(0.7, 500.0, 1.0, 3.0)), name: value})
