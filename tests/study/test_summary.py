import copy
import itertools
import json

import numpy as np
import pytest
from scipy.stats import norm

from taskct.config import make_settings
from taskct.files import write_json
from taskct.names import JOINT
from taskct.study.arm_result import ArmResult
from taskct.study.arms import arms_of
from taskct.study.choices import choose
from taskct.study.resampling import Resampling, Unit, unit_of
from taskct.study.result_files import scores_csv
from taskct.study.summary import _seed_std, by_group, compared, hallucination, retraining, summarize
from taskct.study.tradeoff import trade_off
from taskct.trials.trials import TRUTH, Trials

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


def copied(results, n_copies):
    """Every trial of every arm several times over."""
    found = copy.deepcopy(results)
    for result in found:
        for values in (result.scores, result.quality):
            for name in values:
                values[name] = np.repeat(values[name], n_copies)
    return found


def on_backgrounds(cases, n_copies=1):
    """Test trials on these backgrounds, each several times over."""
    image = np.zeros((N * n_copies, 4, 4), dtype=np.float32)
    truth = {key: np.zeros(N * n_copies) for key in TRUTH} | {"case": np.repeat(cases, n_copies).astype(float)}
    return Trials(image, image, np.repeat(np.arange(N) % 2 == 0, n_copies), truth)


def intervals_of(content, where=""):
    """Every interval in result files, by where it stands."""
    if isinstance(content, dict):
        if "ci_low" in content:
            yield where, content["ci_high"] - content["ci_low"]
        for key, value in content.items():
            yield from intervals_of(value, f"{where}/{key}")
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from intervals_of(value, f"{where}/{number}")


def test_copies_of_every_trial_narrow_no_interval(results):
    """Trials of one background that are alike say as much as one: a law for every figure that a study has."""
    n_copies = 5
    group = np.arange(N) // 2 % 2

    def files(results, test, group):
        return {
            "summary": summarize(results, test, SETTINGS),
            "tradeoff": trade_off(results, test, SETTINGS),
            "hallucination": hallucination(results, test, SETTINGS),
            "groups": by_group(results, group, ("a", "b"), unit_of(test)),
        }

    single = dict(intervals_of(files(results, on_backgrounds(np.arange(N)), group)))
    test = on_backgrounds(np.arange(N), n_copies)
    clustered = dict(intervals_of(files(copied(results, n_copies), test, np.repeat(group, n_copies))))
    assert single.keys() == clustered.keys()
    assert {where.split("/")[1] for where in single} == {"summary", "tradeoff", "hallucination", "groups"}
    assert len(single) > 200
    for where, width in single.items():
        # Single trials would give 1/√5 = 0.45. Two bootstraps of 200 resamples: 8 % each, 4.5 errors of their ratio.
        assert clustered[where] == pytest.approx(width, rel=0.5, abs=1e-12), where
    ratios = [clustered[where] / width for where, width in single.items() if width > 0]
    assert np.median(ratios) == pytest.approx(1.0, abs=0.05)


def test_one_background_of_a_class_is_no_unit(results):
    """With nothing to resample the trials are taken as single ones, and the study says so."""
    cases = np.where(np.arange(N) % 2 == 0, 0, np.arange(N))
    for own in (np.zeros(N), cases):
        unit = unit_of(on_backgrounds(own))
        assert unit.as_json() == {
            "unit": "trial",
            "over_backgrounds": False,
            "few": len(np.unique(own)) < 50,
            "p_values": False,
        }
    plain, alone = (summarize(results, on_backgrounds(own), SETTINGS) for own in (np.arange(N), np.zeros(N)))
    assert plain == alone


@pytest.mark.parametrize(("n_cases", "few", "p_values"), [(60, False, True), (20, True, True), (19, True, False)])
def test_few_backgrounds_are_told(n_cases, few, p_values):
    told = unit_of(on_backgrounds(np.arange(N) % n_cases // 2 * 2)).as_json()
    assert told["unit"] == "background"
    told = unit_of(on_backgrounds(np.arange(N) // 2 % n_cases)).as_json()
    assert told == {"unit": "background", "over_backgrounds": True, "few": few, "p_values": p_values}


@pytest.mark.parametrize(("n_of_class", "p_values"), [(9, False), (10, True)])
def test_a_handful_of_trials_on_own_backgrounds_has_no_p(n_of_class, p_values):
    """As for a user's images: backgrounds of their own make three or nine trials of a class no better."""
    test = unit_of(on_backgrounds(np.arange(N)))
    chosen = np.concatenate([np.flatnonzero(test.present == of_class)[:n_of_class] for of_class in (True, False)])
    unit = test.within(np.isin(np.arange(N), chosen))
    assert unit.as_json()["p_values"] is p_values


def test_false_signals_that_two_arms_paint_alike_leave_room_for_a_difference(results):
    shared, hits = on_backgrounds(np.arange(N) // 20), np.zeros(N, dtype=bool)
    absent = ~shared.signal_present
    found = Resampling.of(shared, SETTINGS).rate_difference(hits, hits, of=absent)
    # 20 backgrounds: of such that differ in any trial, none was seen.
    assert (found.value, found.ci_high) == pytest.approx((0.0, 1.0 - 0.025 ** (1 / 20)))
    assert found.ci_low == -found.ci_high


@pytest.mark.parametrize(
    ("missing", "curves", "within", "monotone"),
    [
        (["lambda=0.5"], True, True, True),  # what is left is compared
        (["lambda=0", "lambda=0 head=eye"], False, False, True),  # no control of either head
        (["lambda=0.9"], False, True, True),  # no end of the blend
        (["lambda=0.9 alpha=0.2"], True, True, True),
        (["lambda=0", "lambda=0.5"], False, True, None),  # the other head has a control of its own
        (None, False, False, None),  # nowhere
    ],
)
def test_an_observer_that_could_not_be_fitted_to_an_arm_is_left_out_there(
    results, test_trials, missing, curves, within, monotone
):
    holed = copy.deepcopy(results)
    without = [r for r in holed if missing is None or r.arm.name in missing]
    for result in without:
        for values in (result.scores, result.validation_auc, result.regularization):
            values.pop("ho_eye", None)
    found = trade_off(holed, test_trials, SETTINGS)
    whole = trade_off(results, test_trials, SETTINGS)["observers"]
    assert {name: row for name, row in found["observers"].items() if name != "ho_eye"} == {
        name: row for name, row in whole.items() if name != "ho_eye"
    }
    if missing is None:
        assert "ho_eye" not in found["observers"]
    else:
        row = found["observers"]["ho_eye"]
        assert (row["curves"] is not None, row["within_tolerance"] is not None) == (curves, within)
        assert row["monotone"] is monotone
    summary = summarize(holed, test_trials, SETTINGS)
    gone = {r.arm.name for r in without}
    assert {a["name"] for a in summary["arms"] if "ho_eye" not in a["observers"]} == gone
    assert not [p for p in summary["paired"] if p["observer"] == "ho_eye" and gone & {p["arm"], p["versus"]}]
    chosen = choose(holed, make_settings(SETTINGS.model_dump(), {"evaluation": {"chosen_price": 0.5}}))
    task = {"lambda=0.5", "lambda=0.9"}
    assert chosen["chosen_arm"] in (task - gone or task)
    assert ("could not be fitted" in chosen["rule"]) is bool(task & gone)
    assert retraining(holed, compared(holed), unit_of(test_trials)) == []
    assert "ho_eye" in scores_csv(holed, test_trials) or missing is None


def test_json_is_strict_and_written_whole(tmp_path):
    file = tmp_path / "a.json"
    write_json(file, {"x": float("nan"), "y": [1.0, float("inf")]})
    assert json.loads(file.read_text()) == {"x": None, "y": [1.0, None]}
    with pytest.raises(TypeError):
        write_json(file, {"x": object()})
    assert json.loads(file.read_text())["y"] == [1.0, None]
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_spread_over_trainings_is_told_apart_from_that_of_trials():
    """40 studies of 20 trainings each: the mean of the estimate lies within 0.002 but once in 1,000 such tests."""
    found: dict[float, list[float]] = {0.0: [], 0.02: []}
    # Near an AUC of 0.76 a shift of d' by x moves the AUC by x φ(d'/√2)/√2.
    scale = np.sqrt(2.0) / norm.pdf(1.0 / np.sqrt(2.0))
    for spread, seed in itertools.product(found, range(40)):
        rng = np.random.default_rng(seed)
        present, shared = np.arange(600) % 2 == 0, rng.standard_normal(600)
        signal = 1.0 + np.stack([spread * scale * rng.standard_normal(20), np.zeros(20)])
        own = 0.3 * rng.standard_normal((2, 20, 600))
        scores = shared + own + signal[:, :, None] * present
        found[spread].append(_seed_std(scores, Unit(present, None, 600, over_backgrounds=True)))
    assert np.mean(found[0.02]) == pytest.approx(0.02, abs=0.002)
    assert np.mean(found[0.0]) < 0.004
