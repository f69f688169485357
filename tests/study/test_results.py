import copy
import json

import numpy as np
import pytest

from taskct.config import make_settings
from taskct.study.arms import arms_of
from taskct.study.choices import choose
from taskct.study.evaluate import JOINT, ArmResult
from taskct.study.false_signals import hallucination
from taskct.study.results import summarize, write_json
from taskct.study.tradeoff import trade_off
from taskct.trials import TRUTH, Trials

SETTINGS = make_settings(
    {
        "training": {"lambdas": [0, 0.5, 0.9], "blend_lambda": 0.9, "blend_alphas": [0.2, 0.5]},
        "evaluation": {"n_bootstrap": 200},
    }
)
N = 400


@pytest.fixture(scope="module")
def test_trials():
    image = np.zeros((N, 4, 4), dtype=np.float32)
    return Trials(image, image, np.arange(N) % 2 == 0, {key: np.zeros(N) for key in TRUTH})


@pytest.fixture(scope="module")
def results(test_trials):
    """Arms whose separation and error rise with λ; a blend costs half the error of training for the same gain."""
    rng = np.random.default_rng(0)
    noise, error = rng.normal(size=N), rng.chisquare(30, size=N) / 30
    found = []
    for arm in arms_of(SETTINGS):
        weight = arm.task_weight or 0.0
        gain = weight if arm.alpha is None else weight * arm.alpha
        price = 1.0 + gain**1.0 if arm.alpha is None else 1.0 + 0.9 * (gain / 0.9) ** 2
        statistic = noise + test_trials.signal_present * (1.0 + gain)
        names = ["slnn", "ho", "ho_eye"] + ([JOINT] if arm.trained else [])
        scores = {name: statistic + 0.01 * rng.normal(size=N) for name in names}
        quality = {
            "mse_hu2": 25.0 * price * error,
            "psnr_db": 30.0 - error,
            "ssim": 0.9 + 0.01 * error,
            "peak_disc_hu": 40.0 * rng.random(N) + 10.0 * gain,
            "site_bias_hu": rng.normal(size=N) - 2.0 * test_trials.signal_present,
        }
        areas = dict.fromkeys(names, 0.7 + 0.1 * gain)
        found.append(ArmResult(arm, scores, quality, {"slnn": 1.0}, areas, float(np.sqrt(25.0 * price)), None))
    return found


def test_blend_that_is_cheaper_by_construction_is_the_better_bargain(results, test_trials):
    found = trade_off(results, test_trials, SETTINGS)["observers"]
    for name in ("slnn", "ho", "ho_eye"):
        curves = found[name]["curves"]
        assert curves["better"] == "blend"
        assert 0 < curves["delta_auc"]["ci_low"] < curves["delta_auc"]["value"] < curves["delta_auc"]["ci_high"]
        assert found[name]["monotone"]
    assert found[JOINT]["curves"] is None


def test_the_arm_within_tolerance_is_picked_on_validation_and_keeps_the_rmse(results, test_trials):
    picked = trade_off(results, test_trials, SETTINGS)["observers"]["ho"]["within_tolerance"]
    # Squared error 1 + 0.9·α²: α = 0.2 costs 1.8 % of the RMSE, α = 0.5 costs 10.7 %, λ = 0.5 costs 22 %.
    assert picked["arm"] == "lambda=0.9 alpha=0.2"
    assert picked["rmse_ratio"]["value"] == pytest.approx(np.sqrt(1.036), rel=1e-6)
    assert picked["delta_auc"]["value"] > 0


def test_choices_do_not_look_at_the_test_trials(results):
    spoiled = copy.deepcopy(results)
    rng = np.random.default_rng(1)
    for result in spoiled:
        for name in result.scores:
            result.scores[name] = rng.normal(size=N)
        result.quality = {key: rng.random(N) for key in result.quality}
    assert choose(spoiled, SETTINGS) == choose(results, SETTINGS)


def test_the_shown_arm_keeps_its_price_and_else_is_the_cheapest(results):
    # Training at λ costs √(1 + λ) in RMSE here: 22 % at 0.5, 38 % at 0.9.
    def chosen(price):
        return choose(results, make_settings(SETTINGS.model_dump(), {"evaluation": {"chosen_price": price}}))

    assert chosen(0.5)["chosen_arm"] == "lambda=0.9"
    assert chosen(0.3)["chosen_arm"] == "lambda=0.5"
    assert chosen(0.05)["chosen_arm"] == "lambda=0.5"
    assert "none is within" in chosen(0.05)["rule"]


def test_a_choice_at_the_end_of_its_list_is_named(results):
    edge = copy.deepcopy(results)
    edge[0].regularization = {"slnn": min(SETTINGS.observers.weight_decays), "ho": 10.0}
    assert choose(edge, SETTINGS)["at_edge"] == [
        {"arm": "low-dose", "observer": "slnn", "value": min(SETTINGS.observers.weight_decays)}
    ]


def test_false_signals_are_counted_on_signal_absent_trials(results, test_trials):
    found = hallucination(results, test_trials, SETTINGS)
    rate = {row["arm"]: row["false_signal_rate"]["value"] for row in found["arms"]}
    by_name = {r.arm.name: r for r in results}
    assert found["threshold_hu"] == SETTINGS.signal.contrast_hu[0]
    for name in ("lambda=0", "lambda=0.9"):
        peak = by_name[name].quality["peak_disc_hu"][1::2]  # absent trials have odd numbers here
        assert rate[name] == pytest.approx(np.mean(peak >= 30.0))
    delta = next(row["delta_to_control"] for row in found["arms"] if row["arm"] == "lambda=0.9")
    assert delta["value"] == pytest.approx(rate["lambda=0.9"] - rate["lambda=0"])
    assert delta["ci_low"] > 0


def test_rmse_that_falls_with_the_task_weight_is_noticed(results, test_trials):
    assert trade_off(results, test_trials, SETTINGS)["rmse_monotone"]
    odd = copy.deepcopy(results)
    next(r for r in odd if r.arm.name == "lambda=0.9").quality["mse_hu2"] *= 0.5
    assert not trade_off(odd, test_trials, SETTINGS)["rmse_monotone"]


def test_summary_pairs_every_arm_with_its_fair_control(results, test_trials):
    summary = summarize(results, test_trials, SETTINGS)
    versus = {row["arm"]: row["versus"] for row in summary["paired"]}
    assert versus["lambda=0.9"] == "lambda=0"
    assert versus["lambda=0.9 head=eye"] == "lambda=0 head=eye"
    assert versus["lambda=0.9 alpha=0.2"] == "lambda=0"
    assert versus["mse"] == versus["lambda=0"] == "low-dose"
    for arm in summary["arms"]:
        bias = arm["hallucination"]
        assert bias["absent_bias_hu"]["ci_low"] < bias["absent_bias_hu"]["value"] < bias["absent_bias_hu"]["ci_high"]
        # 200 standard normal biases a class, about 0 and −2: 0.4 is 5.6 standard errors.
        assert bias["present_bias_hu"]["value"] - bias["absent_bias_hu"]["value"] == pytest.approx(-2.0, abs=0.4)


def test_json_is_strict_and_written_whole(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, {"x": float("nan"), "y": [1.0, float("inf")]})
    assert json.loads(file.read_text()) == {"x": None, "y": [1.0, None]}
    with pytest.raises(TypeError):
        write_json(file, {"x": object()})
    assert json.loads(file.read_text())["y"] == [1.0, None]
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
