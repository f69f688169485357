"""Strata: a partition of the signal-present trials, whose AUCs add up to the whole one."""

import numpy as np
import pytest

from taskct.config import make_settings
from taskct.metrics.roc import auc
from taskct.names import ArmName
from taskct.study.arm_result import ArmResult
from taskct.study.arms import Arm
from taskct.study.resampling import unit_of
from taskct.study.strata import strata_of, strata_rows
from taskct.trials.trials import TRUTH, Trials

N = 600


def study(**signal):
    return make_settings({"signal": {"contrast_hu": [20, 60], "diameter_mm": [4, 9], **signal}})


def trials(settings) -> Trials:
    rng, g = np.random.default_rng(0), settings.signal
    truth = {name: np.zeros(N) for name in TRUTH} | {"case": np.arange(float(N))}
    low, high = g.diameter_mm
    size = rng.uniform(low, high, N)
    if g.diameter_law == "log-uniform":
        size = np.exp(rng.uniform(np.log(low), np.log(high), N))
    truth |= {"diameter_mm": size, "contrast_hu": rng.uniform(*g.contrast_hu, N)}
    image = np.zeros((N, 4, 4), dtype=np.float32)
    return Trials(image, image, np.arange(N) % 2 == 0, truth)


@pytest.mark.parametrize(
    "signal",
    [
        {},
        {"contrast_hu": [-60, -20]},
        {"contrast_hu": [-20, 60]},
        {"contrast_hu": [-60, 50]},
        {"diameter_law": "log-uniform"},
    ],
)
def test_strata_are_halves_that_part_all_signal_present_trials(signal) -> None:
    settings = study(**signal)
    test = trials(settings)
    strata = strata_of(settings, test)
    assert len(strata) == 4
    assert np.array_equal(np.sum([one.signals for one in strata], axis=0), test.signal_present)
    size, contrast = test.truth["diameter_mm"], np.abs(test.truth["contrast_hu"])
    for one in strata:
        assert ((size[one.signals] >= one.size_mm[0]) & (size[one.signals] <= one.size_mm[1])).all()
        assert ((contrast[one.signals] >= one.contrast_hu[0]) & (contrast[one.signals] <= one.contrast_hu[1])).all()
    # A quarter of 300 is 75; 5 standard deviations are 37.
    assert all(abs(one.signals.sum() - 75) < 37 for one in strata)
    # Each margin holds half: 150, give or take 5 · 8.7.
    small = sum(one.signals.sum() for one in strata if one.size_mm[0] == settings.signal.diameter_mm[0])
    faint = sum(one.signals.sum() for one in strata if one.contrast_hu[0] == strata[0].contrast_hu[0])
    assert abs(small - 150) < 43
    assert abs(faint - 150) < 43


def test_one_size_leaves_two_and_one_of_each_none() -> None:
    one_size = study(diameter_mm=[6, 6])
    assert [one.contrast_hu for one in strata_of(one_size, trials(one_size))] == [(20.0, 40.0), (40.0, 60.0)]
    known = study(diameter_mm=[6, 6], contrast_hu=[30, 30])
    assert strata_of(known, trials(known)) == []
    assert list(strata_rows([], trials(known), known, unit_of(trials(known)))) == []


def test_a_loss_in_small_faint_lesions_shows_under_a_gain_in_the_mean() -> None:
    settings = study()
    test, rng = trials(settings), np.random.default_rng(1)
    noise = rng.normal(size=N)
    strong = (test.truth["diameter_mm"] > 6.5) | (test.truth["contrast_hu"] > 40)
    control = noise + 1.0 * test.signal_present
    task = noise + test.signal_present * np.where(strong, 2.0, 0.4) + 0.01 * rng.normal(size=N)
    results = [
        ArmResult(Arm(ArmName("lambda", weight, seed=0)), {"ho": t}, {}, {}, {}, 1.0, None)
        for weight, t in ((0.0, control), (0.9, task))
    ]
    unit = unit_of(test)
    rows = list(strata_rows(results, test, settings, unit))
    assert len(rows) == 8
    of_task = [row for row in rows if row["arm"] == "lambda=0.9"]
    assert all(row["delta"] is None for row in rows if row["arm"] == "lambda=0")
    lost = [row["delta"]["ci_high"] < 0 for row in of_task]
    assert lost == [True, False, False, False]
    assert of_task[0]["size"] == {"low": 4.0, "high": 6.5}
    # All signal-absent trials stand against every stratum, so the whole AUC is the mean of those of the strata.
    p = test.signal_present
    mean = sum(row["auc"]["value"] * row["n_present"] for row in of_task) / p.sum()
    assert mean == pytest.approx(auc(task[p], task[~p]), abs=1e-12)


def test_a_stratum_without_trials_is_left_out() -> None:
    settings = study()
    test = trials(settings)
    test.truth["diameter_mm"][:] = 5.0
    arm = ArmResult(Arm(ArmName("lambda", 0.0, seed=0)), {"ho": np.arange(float(N))}, {}, {}, {}, 1.0, None)
    rows = list(strata_rows([arm], test, settings, unit_of(test)))
    assert [row["size"]["high"] for row in rows] == [6.5, 6.5]
