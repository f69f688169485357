"""The curves of a study with a task path, and what may be chosen on it."""

import numpy as np
import pytest

from taskct.config import make_settings
from taskct.names import JOINT
from taskct.study.arm_result import ArmResult
from taskct.study.arms import arms_of
from taskct.study.choices import choose
from taskct.study.tradeoff import trade_off
from taskct.trials.trials import TRUTH, Trials

N = 400
PRICES = (0.005, 0.01, 0.02, 0.05, 0.1)
TRAINING = {"lambdas": [0, 0.5, 0.9], "blend_lambda": 0.9, "blend_alphas": [0.2, 0.5], "other_head_lambda": None}
# RMSE over the control's and separation d' of the arms beside the path.
RESULTS = {"low-dose": (3.0, 1.0), "mse": (1.0, 1.0), "lambda=0": (1.0, 1.0)}
RESULTS |= {"lambda=0.5": (1.05, 1.2), "lambda=0.9": (1.12, 1.4)}
RESULTS |= {"lambda=0.9 alpha=0.2": (1.01, 1.15), "lambda=0.9 alpha=0.5": (1.04, 1.25)}


def _study(method, **evaluation):
    training = TRAINING if method == "both" else {}
    evaluation = {"n_bootstrap": 200} | evaluation
    return make_settings({"training": {"method": method, **training}, "evaluation": evaluation})


def _test_trials():
    image = np.zeros((N, 4, 4), dtype=np.float32)
    return Trials(image, image, np.arange(N) % 2 == 0, {key: np.zeros(N) for key in TRUTH})


def _results(settings, test, *, gain=3.0, over=0.0):
    """Arms with d' = 1 + gain · √price on the path; on validation data a price is met but for `over`, relative."""
    rng = np.random.default_rng(0)
    noise, error = rng.normal(size=N), rng.chisquare(30, size=N) / 30
    found = []
    for arm in arms_of(settings):
        ratio, d_prime = RESULTS.get(arm.name) or (1 + arm.price, 1 + gain * arm.price**0.5)
        names = ["slnn", "ho", "ho_eye"] + ([JOINT] if arm.trained else [])
        found.append(
            ArmResult(
                arm,
                {one: noise + d_prime * test.signal_present + 0.01 * rng.normal(size=N) for one in names},
                {"mse_hu2": 25.0 * ratio**2 * error, "peak_disc_hu": np.zeros(N), "site_bias_hu": np.zeros(N)},
                {},
                dict.fromkeys(names, 0.6 + 0.1 * d_prime),
                5.0 * (ratio + over * ratio if arm.price else ratio),
                None,
            )
        )
    return found


@pytest.mark.parametrize(("gain", "better"), [(3.0, "path"), (0.0, None)])
def test_the_path_is_compared_with_both_other_curves(gain, better):
    settings, test = _study("both"), _test_trials()
    found = trade_off(_results(settings, test, gain=gain), test, settings)["observers"]
    for name in ("slnn", "ho", "ho_eye"):
        curves = {one["versus"]: one for one in found[name]["path_curves"]}
        assert list(curves) == ["blend", "trained"]
        for versus, one in curves.items():
            assert one["better"] == (better or versus)
            low, value, high = (one["delta_auc"][key] for key in ("ci_low", "value", "ci_high"))
            assert low < value < high
            # Both curves start at the control; the path ends first, at 10 % more RMSE.
            last = {"blend": 1.1, "trained": 1.1}[versus]
            assert one["rmse_range_hu"][1] / one["rmse_range_hu"][0] == pytest.approx(last)
        assert found[name]["path_monotone"]


def test_a_joint_observer_of_one_price_is_no_curve():
    settings, test = _study("both"), _test_trials()
    assert trade_off(_results(settings, test), test, settings)["observers"][JOINT]["path_curves"] == []


def test_a_path_that_falls_is_noticed():
    settings, test = _study("both"), _test_trials()
    found = trade_off(_results(settings, test, gain=-2.0), test, settings)["observers"]["ho"]
    assert (found["path_monotone"], found["monotone"]) == (False, True)


def test_a_study_of_a_path_alone_has_no_other_curve():
    settings, test = _study("task-path"), _test_trials()
    found = trade_off(_results(settings, test), test, settings)
    assert found["rmse_monotone"]
    assert [row["arm"] for row in found["prices"]][2:] == [f"path price={price:g}" for price in PRICES]
    for one in found["observers"].values():
        assert (one["curves"], one["path_curves"], one["monotone"]) == (None, [], None)


@pytest.mark.parametrize(("over", "price"), [(0.0, 0.02), (3e-7, 0.02), (1e-3, 0.01)])
def test_a_price_that_is_met_but_for_rounding_keeps_the_tolerance(over, price):
    arm = f"path price={price}"
    settings, test = _study("task-path", tolerance=0.02, chosen_price=0.02), _test_trials()
    results = _results(settings, test, over=over)
    assert trade_off(results, test, settings)["observers"]["ho"]["within_tolerance"]["arm"] == arm
    assert choose(results, settings)["chosen_arm"] == arm
