"""No observer depends on the unit of the images: AUCs in HU and in HU/4000 are the same."""

import numpy as np
import pytest

from human_noise import HUMAN_NOISE
from taskct.errors import UserError
from taskct.metrics.roc import auc
from taskct.observer_registry import OBSERVERS
from taskct.observers import Eye
from taskct.observers.fresh import observer_told

SIDE = 10
AXIS = np.arange(SIDE) - (SIDE - 1) / 2.0
BLOB = np.exp(-(AXIS[:, None] ** 2 + AXIS**2) / 6.0)
UNIT = 1.0 / 4000.0


def trials(n=60, seed=0):
    rng, present = np.random.default_rng(seed), np.arange(2 * n) < n
    return rng.normal(1000.0, 20.0, (2 * n, SIDE, SIDE)) + 12.0 * present[:, None, None] * BLOB, present


def area_of(name, unit):
    images, present = trials()
    unseen, truth = trials(seed=1)
    eye = Eye(0.7, 500.0, 1.0, 3.0 * unit)  # noise per pixel has the unit of the images
    told = observer_told(name, eye, seed=0, covariance=400.0 * unit**2 * np.eye(SIDE**2), human=HUMAN_NOISE)
    statistic = told.fit(images * unit, present).test_statistic(unseen * unit)
    return auc(statistic[truth], statistic[~truth])


@pytest.mark.filterwarnings("ignore::taskct.observers.base.SmallSampleWarning")
@pytest.mark.parametrize("name", [name for name in OBSERVERS if name != "cnn"])
def test_an_observers_auc_is_that_in_any_unit(name):
    assert area_of(name, UNIT) == pytest.approx(area_of(name, 1.0), abs=1.0 / 3600.0)  # one pair of 60 × 60


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::taskct.observers.base.SmallSampleWarning")
def test_a_network_is_nearly_that_in_any_unit():
    assert area_of("cnn", UNIT) == pytest.approx(area_of("cnn", 1.0), abs=0.02)  # its weights are found in float32


@pytest.mark.filterwarnings("ignore::taskct.observers.base.SmallSampleWarning")
@pytest.mark.parametrize("name", list(OBSERVERS))
def test_class_means_that_agree_to_rounding_are_refused(name):
    """The same images in both classes, in another order and a little rounded: there is nothing to learn."""
    images, _ = trials(8)
    twice = np.concatenate([images, images[::-1] * (1.0 + 1e-16)])
    eye = Eye(0.7, 500.0, 1.0, 3.0)
    observer = observer_told(name, eye, seed=0, covariance=np.eye(SIDE**2), human=HUMAN_NOISE)
    with pytest.raises(UserError, match="the means of the two classes are the same to rounding"):
        observer.fit(twice, np.arange(len(twice)) < len(images))
