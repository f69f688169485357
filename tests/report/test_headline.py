import json
from dataclasses import replace
from math import erfc, sqrt

import numpy as np
import pytest
from scipy.stats import t as student

from taskct.metrics.comparisons import holm
from taskct.metrics.intervals import Interval
from taskct.report import load_run
from taskct.report.headline import headline
from taskct.report.schema import sign


def _edit(run, name, change):
    content = json.loads((run / name).read_text())
    change(content)
    (run / name).write_text(json.dumps(content))


def _set_delta(run, by_observer):
    """Give the chosen arm's paired differences a value; each interval is ± 0.01."""

    def change(summary):
        for row in summary["paired"]:
            if row["arm"] == "lambda=0.9" and row["observer"] in by_observer:
                value = by_observer[row["observer"]]
                p = erfc(abs(value) / 0.01 * 1.96 / sqrt(2))
                row.update(delta_auc=value, ci_low=value - 0.01, ci_high=value + 0.01, p_value=p)

    _edit(run, "summary.json", change)


def _text(answer):
    parts = [answer.verdict, *(text for _, text in answer.answers), *answer.notes, *answer.warnings]
    return " ".join(parts).replace("\N{NO-BREAK SPACE}", " ")


def test_gain_is_claimed_where_intervals_allow(run_folder):
    answer = headline(load_run(run_folder))
    text = _text(answer)
    assert "raises AUC over the λ = 0 control for all 4 observers (fresh HO behind an eye filter by +" in text
    assert "No gain" not in text
    assert not answer.warnings


def test_no_gain_is_said_plainly(no_gain_folder):
    text = _text(headline(load_run(no_gain_folder)))
    assert text.startswith("No gain shown: at λ = 0.9")
    assert "No λ shows a gain for the joint SLNN-NO" in text
    assert "raises AUC" not in text


def test_each_observer_is_sorted_by_its_own_interval(make_run):
    run = make_run()
    _set_delta(run, {"slnn_joint": 0.05, "slnn": 0.0, "ho": -0.05, "ho_eye": 0.02})
    verdict = _text(headline(load_run(run)))
    assert "control for the joint SLNN-NO and fresh HO behind an eye filter" in verdict
    assert "lowers it for the fresh HO, and shows no sure difference for the fresh SLNN-NO" in verdict


def test_gain_must_survive_holm(make_run):
    run = make_run()
    # Each interval clears zero (p = 0.03), but 4 × 0.03 is above 0.05; a loss as faint is still told.
    p03 = 0.01 * 2.17 / 1.96
    _set_delta(run, {"slnn_joint": p03, "slnn": p03, "ho": p03, "ho_eye": -p03})
    assert load_run(run).gains_and_losses() == ([], ["ho_eye"], ["slnn_joint", "slnn", "ho"])
    # Two strong ones leave a family of two: 2 × 0.03 is still above 0.05; three leave it alone, below.
    _set_delta(run, {"slnn_joint": 0.05, "slnn": 0.05, "ho": p03, "ho_eye": p03})
    assert load_run(run).gains_and_losses()[0] == ["slnn_joint", "slnn"]
    _set_delta(run, {"slnn_joint": 0.05, "slnn": 0.05, "ho": 0.05, "ho_eye": p03})
    assert load_run(run).gains_and_losses()[0] == ["slnn_joint", "slnn", "ho", "ho_eye"]


@pytest.mark.parametrize(("low", "warned"), [(0.01, True), (-0.01, False)])
def test_false_signals_beyond_the_control_are_a_warning(make_run, low, warned):
    run = make_run()

    def change(content):
        for row in content["arms"]:
            if row["arm"] == "lambda=0.9":
                row["false_signal_rate"] = {"value": 0.12, "ci_low": 0.09, "ci_high": 0.15}
                row["delta_to_control"] = {"value": 0.067, "ci_low": low, "ci_high": 0.1}

    _edit(run, "hallucination.json", change)
    warning = (
        "λ = 0.9 paints a false signal in 12.0 [9.0, 15.0] % of the signal-absent trials, the λ = 0 control in 5.3 "
    )
    assert (warning in _text(headline(load_run(run)))) is warned


@pytest.mark.parametrize(("low", "warned"), [(0.02, True), (-0.02, False)])
def test_larger_present_bias_is_a_warning(make_run, low, warned):
    run = make_run()

    def change(content):
        for row in content["arms"]:
            if row["arm"] == "lambda=0.9":
                row["excess_present_bias_hu"] = {"value": 0.3, "ci_low": low, "ci_high": 0.58}

    _edit(run, "hallucination.json", change)
    text = _text(headline(load_run(run)))
    assert ("by +0.30 [+0.02, +0.58] HU: signals are overdrawn or wiped out" in text) is warned


def test_contrast_kept_is_quoted(run_folder):
    arms = {a["name"]: a for a in json.loads((run_folder / "summary.json").read_text())["arms"]}
    biases = [arms[name]["hallucination"]["present_bias_hu"]["value"] for name in ("lambda=0", "lambda=0.9")]
    before, after = (f"{bias:.2f}".replace("-", "−") for bias in biases)
    text = _text(headline(load_run(run_folder)))
    assert f"the mean bias at the site of real signals goes from {before} [" in text
    assert f"] to {after} [" in text


def test_denoiser_that_did_not_train_is_a_warning(make_run):
    run = make_run()

    def change(summary):
        for arm in summary["arms"]:
            if arm["name"] == "mse":
                arm["image_quality"]["rmse_hu"] = {"value": 40, "ci_low": 39, "ci_high": 41}

    _edit(run, "summary.json", change)
    (warning,) = headline(load_run(run)).warnings
    assert warning.startswith("MSE: this denoiser did not train. Its RMSE, 40.00 HU")


@pytest.mark.parametrize(("arm", "warned"), [("lambda=0.9", True), ("lambda=0", True), ("lambda=0.5", False)])
def test_regularization_at_the_edge_is_a_warning(make_run, arm, warned):
    run = make_run()
    _edit(run, "choices.json", lambda c: c.update(at_edge=[{"arm": arm, "observer": "ho", "value": 0.1}]))
    warnings = headline(load_run(run)).warnings
    assert any("end of its list" in warning and "fresh HO" in warning for warning in warnings) is warned


def test_seed_of_the_choices_is_quoted(make_run):
    run = make_run(n_seeds=2)
    for name in ("choices.json", "tradeoff.json"):
        _edit(run, name, lambda content: content.update(seed=1))
    _edit(run, "choices.json", lambda c: c.update(at_edge=[{"arm": "lambda=0", "observer": "ho", "value": 0.1}]))
    loaded = load_run(run)
    text = _text(headline(loaded))
    rows = json.loads((run / "summary.json").read_text())["paired"]
    delta = {r["seed"]: r["delta_auc"] for r in rows if (r["arm"], r["observer"]) == ("lambda=0.9", "ho")}
    assert f"fresh HO {delta[1]:+.3f} [" in text
    assert f"fresh HO {delta[0]:+.3f} [" not in text
    assert "The text above quotes seed 1." in text
    assert loaded.arm("lambda=0.9").seed == 1
    assert "end of its list" not in text  # that was seed 0's


def test_group_is_named(make_run):
    answer = headline(load_run(make_run(n_backgrounds=5)))
    text = _text(answer)
    assert "test trials on 5 distinct slices" in text
    assert "show only 5 distinct slices" in text
    assert "(5 distinct slices are too few to be sure of it)" in answer.verdict
    assert "slices only" not in answer.verdict  # the intervals are over other slices too


def test_loss_is_no_gain(make_run):
    run = make_run()
    _set_delta(run, {"slnn_joint": 0.0, "slnn": 0.0, "ho": -0.05, "ho_eye": 0.0})
    assert _text(headline(load_run(run))).startswith(
        "No gain: at λ = 0.9, AUC falls below that of the λ = 0 control for the fresh HO"
    )


def test_gain_of_the_joint_observer_alone_is_a_warning(make_run):
    run = make_run()
    _set_delta(run, {"slnn_joint": 0.05, "slnn": 0.0, "ho": -0.05, "ho_eye": 0.0})
    assert any("Only the jointly trained" in warning for warning in headline(load_run(run)).warnings)


def test_control_chosen(make_run):
    run = make_run()
    _edit(run, "choices.json", lambda c: c.update(chosen_arm="lambda=0"))
    assert "chose the λ = 0 control itself" in _text(headline(load_run(run)))


@pytest.mark.parametrize(("n", "warned"), [(49, True), (50, False)])
def test_few_backgrounds_are_a_warning(make_run, n, warned):
    answer = headline(load_run(make_run(n_backgrounds=n)))
    assert any("takes that into account" in warning for warning in answer.warnings) is warned
    # It says so once, the same for few and many: the intervals know which trials share a slice.
    assert "the unit of every interval is the whole slice" in answer.notes[0]
    assert not any("as independent" in text for text in [*answer.warnings, *answer.notes])


def test_a_single_background_is_said_to_be_one(make_run):
    answer = headline(load_run(make_run(n_backgrounds=1)))
    assert any("show only 1 distinct slice, too few to resample" in warning for warning in answer.warnings)
    assert "takes trials as independent and holds for this slice only" in answer.notes[0]
    assert "(this holds for this slice only)" in answer.verdict
    assert "Holm" not in answer.verdict  # no p is shown, so none is adjusted


def test_backgrounds_of_ones_own_are_said_to_be_so(make_run):
    answer = headline(load_run(make_run(n_backgrounds=300)))
    assert "Each trial has a background of its own and is the unit of every interval." in answer.notes[0]
    assert not answer.warnings


def test_price_is_the_ratio_of_the_files(run_folder):
    arms = {a["name"]: a for a in json.loads((run_folder / "summary.json").read_text())["arms"]}
    rmse = {name: arms[name]["image_quality"]["rmse_hu"]["value"] for name in ("lambda=0", "lambda=0.9")}
    text = _text(headline(load_run(run_folder)))
    assert f"The price is {100 * (rmse['lambda=0.9'] / rmse['lambda=0'] - 1):.1f} % more RMSE" in text


def test_paired_difference_of_mse_is_used(make_run):
    run = make_run()

    def change(summary):
        for row in summary["paired"]:
            if (row["arm"], row["versus"], row["observer"]) == ("mse", "low-dose", "ho_eye"):
                row.update(delta_auc=-0.05, ci_low=-0.07, ci_high=-0.03)

    _edit(run, "summary.json", change)
    assert "(loss: −0.050 [−0.070, −0.030])" in _text(headline(load_run(run)))


def test_every_seed_is_quoted(make_run):
    run = make_run(n_seeds=3)
    rows = json.loads((run / "summary.json").read_text())["paired"]
    deltas = [r["delta_auc"] for r in rows if (r["arm"], r["observer"]) == ("lambda=0.9", "ho")]
    assert len(deltas) == 3
    shown = ", ".join(f"{delta:+.3f}".replace("-", "−") for delta in deltas)
    assert f"fresh HO {shown}" in _text(headline(load_run(run)))


def test_bargain_is_read_from_the_file(make_run):
    run = make_run()
    _edit(run, "tradeoff.json", lambda t: t["observers"]["ho"]["curves"].update(better="trained"))
    assert "training at a smaller λ gives more AUC at equal RMSE for fresh HO" in _text(headline(load_run(run)))


def test_one_price_is_said_once(make_run):
    """The stricter tolerance, whose arms were picked on validation trials, does not contradict the rule's price."""
    run = make_run()
    ratio = {row["arm"]: row["rmse_ratio"] for row in json.loads((run / "tradeoff.json").read_text())["prices"]}
    price = ratio["lambda=0.9"]
    shown = [100 * (price[key] - 1) for key in ("value", "ci_low", "ci_high")]
    answer = headline(load_run(run))
    text = _text(answer)
    assert f"The price is {shown[0]:.1f} % more RMSE [+{shown[1]:.1f}, +{shown[2]:.1f} %]" in text
    assert text.count("% more RMSE") == 1
    assert "Within 2 %" not in text
    assert len(answer.two_sentences) == 2
    assert answer.verdict == " ".join(answer.two_sentences)


def test_a_limit_that_is_kept_on_validation_alone_is_said_so(make_run):
    run = make_run()
    text = _text(headline(load_run(run)))
    assert "The rule allows" not in text  # 20 % on both, of 25 % allowed
    rows = {row["arm"]: row["rmse_hu"] for row in json.loads((run / "choices.json").read_text())["validation"]}
    validation = 100 * (rows["lambda=0.9"] / rows["lambda=0"] - 1)
    settings = (run / "study.yaml").read_text()
    limit = validation / 100 + 1e-4  # the test trials, drawn anew, lie above it
    test = json.loads((run / "tradeoff.json").read_text())["prices"]
    assert next(row["rmse_ratio"]["value"] for row in test if row["arm"] == "lambda=0.9") != 1 + validation / 100
    (run / "study.yaml").write_text(settings.replace("chosen_price: 0.25", f"chosen_price: {limit}"))

    def dearer(summary):
        for arm in summary["arms"]:
            if arm["name"] == "lambda=0.9":
                arm["image_quality"]["rmse_hu"] = {"value": 9.9, "ci_low": 9.8, "ci_high": 10.0}

    _edit(run, "summary.json", dearer)
    text = _text(headline(load_run(run)))
    assert f"% on the validation trials, where it costs {validation:.1f} %; on the test trials it costs more" in text


def test_sign_needs_the_whole_interval():
    assert sign(Interval(0.1, 0.01, 0.2)) == 1
    assert sign(Interval(-0.1, -0.2, -0.01)) == -1
    assert sign(Interval(0.1, 0.0, 0.2)) == 0


def test_holm_against_its_definition():
    # The adjusted p-value is the lowest level at which Holm's step-down procedure rejects.
    p = np.array([0.04, 0.001, 0.012, 0.3, 0.012, 0.02])
    levels = np.linspace(0, 1, 100_001)

    def rejected(level):
        still, result = True, np.zeros(len(p), bool)
        for step, i in enumerate(np.argsort(p, kind="stable")):
            still = still and p[i] <= level / (len(p) - step)
            result[i] = still
        return result

    lowest = np.full(len(p), np.nan)
    for level in levels[::-1]:
        lowest[rejected(level)] = level
    np.testing.assert_allclose(holm(list(p)), lowest, atol=1.1e-5)
    assert np.isnan(holm([np.nan, 0.01])[0])
    assert holm([np.nan, 0.01])[1] == 0.01


def _limits(run, shift, p_value=0.001):
    """Write limits of every fresh observer, `shift` above its AUC, and the differences that the page compares."""
    summary = json.loads((run / "summary.json").read_text())
    rows, auc = [], {}
    for arm in summary["arms"]:
        for observer, found in arm["observers"].items():
            limit = None if observer == "slnn_joint" else found["auc"] + shift[arm["name"] == "low-dose"]
            auc[arm["name"], observer] = limit
            rows.append(
                {
                    "arm": arm["name"],
                    "seed": 0,
                    "observer": observer,
                    "n_fresh": 1,
                    "why_not": None if limit else "joint",
                }
                | {"auc": {"value": found["auc"], "ci_low": found["ci_low"], "ci_high": found["ci_high"]}}
                | {"limit": limit and {"value": limit, "ci_low": limit - 0.01, "ci_high": limit + 0.01}}
            )
    paired = []
    for arm, versus in (("mse", "low-dose"), ("lambda=0.9", "lambda=0"), ("lambda=0.9", "low-dose")):
        for observer in ("slnn", "ho", "ho_eye"):
            value = auc[arm, observer] - auc[versus, observer]
            delta = {"value": value, "ci_low": value - 0.012, "ci_high": value + 0.012}
            paired.append(
                {"arm": arm, "versus": versus, "observer": observer, "seed": 0, "delta": delta, "p_value": p_value}
                | {"why_not": None}
            )
    content = {"schema": 1, "confidence": 0.95, "how": "by two halves", "rows": rows, "paired": paired}
    (run / "limits.json").write_text(json.dumps(content))


def test_text_speaks_of_the_limit(make_run):
    run = make_run()
    at_n = _text(headline(load_run(run)))
    assert "in the limit" not in at_n
    assert "at 1 training trials" in at_n  # conftest's split of fresh trials holds one
    _limits(run, (0.01, 0.08))
    loaded = load_run(run)
    text = _text(headline(loaded))
    low, mse = loaded.limit("low-dose", "ho").limit, loaded.limit("mse", "ho").limit
    shown = f"fresh HO {low.value:.3f} → {mse.value:.3f}"
    assert shown in text.split("AUC in the limit of many training trials: ")[1]
    delta = loaded.limit_delta("low-dose", "mse", "ho")
    assert (delta.value, delta.ci_low) == pytest.approx((low.value - mse.value, low.value - mse.value - 0.012))
    first = headline(loaded).two_sentences[0]
    assert "in the limit of many training trials" in first
    assert loaded.limit("lambda=0.9", "slnn_joint").limit is None
    assert "against the λ = 0 control, in the limit of many training trials: fresh SLNN-NO" in text
    assert "of the observer that was trained with it: joint SLNN-NO" in text


def test_a_gain_that_the_limit_does_not_show_is_not_claimed(make_run):
    run = make_run()
    _limits(run, (0.0, 0.0), p_value=0.4)
    gains, _, unclear = load_run(run).gains_and_losses()
    assert gains == ["slnn_joint"]
    assert unclear == ["slnn", "ho", "ho_eye"]
    first = headline(load_run(run)).two_sentences[0]
    assert "and shows no sure difference for the others (in the limit of many training trials)" in first


def test_contrast_is_told_in_plain_words(make_run):
    run = make_run()

    def fade(summary):
        for arm in summary["arms"]:
            hu = {"mse": -24.9, "lambda=0.9": -21.4, "low-dose": 0.0}.get(arm["name"])
            if hu is not None:
                arm["hallucination"]["present_bias_hu"] = {"value": hu, "ci_low": hu - 1, "ci_high": hu + 1}

    _edit(run, "summary.json", fade)  # the settings draw contrasts from 30 to 70 HU
    answer = headline(load_run(run))
    assert "but about half of the contrast is gone (57 [55, 59] % left). " in _text(answer)
    said = (
        "About half of the contrast is gone: of the signals' 50 HU, 28.6 HU (57 %) are left, after MSE 25.1 HU (50 %)."
    )
    assert said in answer.answers[1][1].replace("\N{NO-BREAK SPACE}", " ")
    (low, mse, chosen) = answer.contrast
    assert [low[0].replace("\N{NO-BREAK SPACE}", " "), mse[0]] == ["low-dose images", "MSE"]
    assert mse[1] == Interval(pytest.approx(0.502), pytest.approx(0.482), pytest.approx(0.522))
    assert chosen[1].value == pytest.approx(0.572)
    rows = [
        {"arm": name, "seed": 0, "contrast_recovery": {"value": v, "ci_low": v - 0.01, "ci_high": v + 0.01}}
        for name, v in (("low-dose", 1.0), ("mse", 0.3), ("lambda=0.9", 0.35))
    ]
    (run / "harm.json").write_text(json.dumps({"rows": rows}))  # measured: it counts
    text = _text(headline(load_run(run)))
    assert "most of the contrast is gone (35 [34, 36] % left)" in text
    assert "Most of the contrast is gone: of the signals' 50 HU, 17.5 HU (35 %)" in text


def test_contrast_of_a_signal_without_a_single_one_is_not_made_up(make_run):
    run = make_run()
    settings = (run / "study.yaml").read_text()
    (run / "study.yaml").write_text(settings.replace("- disc", "- gaussian", 1))
    answer = headline(load_run(run))
    assert answer.contrast == []
    assert "contrast is" not in answer.verdict


def test_seeds_that_are_wanted_are_counted(make_run):
    run = make_run(n_seeds=2)
    deltas = {0: 0.02, 1: 0.06}

    def spread(summary):
        for row in summary["paired"]:
            if (row["arm"], row["observer"]) == ("lambda=0.9", "ho"):
                value = deltas[row["seed"]]
                row.update(delta_auc=value, ci_low=value - 0.01, ci_high=value + 0.01)

    # s = 0.0283, and half of the interval of two seeds is 12.706 s/√2 = 0.254: at that spread 7 seeds have 0.026.
    def wide(retraining):
        for row in retraining["rows"]:
            if (row["arm"], row["observer"]) == ("lambda=0.9", "ho"):
                row.update(delta_auc=0.04, ci_low=0.04 - 0.2541, ci_high=0.04 + 0.2541, df=1.0)

    _edit(run, "summary.json", spread)
    _edit(run, "retraining.json", wide)
    text = _text(headline(load_run(run)))
    assert "2 training seeds leave 1 degree of freedom to the spread between trainings" in text
    s = 0.04 / 2**0.5
    wanted = next(n for n in range(2, 99) if student.ppf(0.975, n - 1) * s / n**0.5 < 0.04)
    assert wanted == 5
    assert f"{wanted} for fresh HO (now ±0.254)" in text
    # The quoted seed's gain is sure on the trials, and not over trainings: the page says so beside the verdict.
    warned = [text for text in headline(load_run(run)).warnings if "The gain is that of seed 0" in text]
    assert len(warned) == 1
    assert "fresh HO +0.040 [-0.214, +0.294]" in warned[0].replace("\N{MINUS SIGN}", "-").replace(
        "\N{NO-BREAK SPACE}", " "
    )


def test_the_paragraph_has_the_answer_and_its_numbers(run_folder):
    answer = headline(load_run(run_folder))
    assert answer.paragraph.startswith(answer.verdict)
    assert "\n" not in answer.paragraph
    assert answer.answers[0][1] in answer.paragraph


def test_seeds_say_whether_their_differences_are_in_the_limit(make_run):
    run = make_run(n_seeds=2)
    said = "for seeds 0 and 1, in the limit of many training trials where there is one:"
    assert said not in _text(headline(load_run(run)))
    auc = {"value": 0.8, "ci_low": 0.77, "ci_high": 0.83}
    row = {"arm": "lambda=0.9", "seed": 0, "observer": "ho", "n_fresh": 9, "auc": auc, "limit": auc}
    (run / "limits.json").write_text(json.dumps({"rows": [row], "paired": [], "how": ""}))
    assert said in _text(headline(load_run(run)))


@pytest.mark.parametrize(
    ("weights", "name", "label"),
    [
        (None, "mse", "MSE"),
        ("/models/<b>.pt", "mse", "<b>.pt (as it came)"),
        ("/models/a.pt", "mse n_layers=9", "a.pt (as it came), n_layers=9"),
        ("/models/a.pt", "mse weights=b.pt", "b.pt (as it came)"),
        (None, "mse weights=b.pt", "b.pt (as it came)"),
        ("/models/a.pt", "lambda=0", "λ = 0"),
        ("m" * 60 + ".pt", "mse", "m" * 39 + "… (as it came)"),
    ],
)
def test_a_network_that_came_with_its_weights_is_called_by_their_file(run_folder, weights, name, label):
    run = load_run(run_folder)
    study = replace(run, settings=run.settings | {"denoiser": {"weights": weights}})
    assert study.label(name).replace("\N{NO-BREAK SPACE}", " ") == label


def test_it_is_not_blamed_for_its_training(run_folder):
    run = load_run(run_folder)
    study = replace(run, settings=run.settings | {"denoiser": {"weights": "a.pt"}})
    low = run.arm("low-dose").image_quality
    worse = replace(low, rmse_hu=Interval(99.0, 98.0, 100.0))
    arms = [replace(arm, image_quality=worse) if arm.name == "mse" else arm for arm in run.summary.arms]
    said = {"a.pt (as it came): this denoiser does not suit": study, "MSE: this denoiser did not train": run}
    for words, one in said.items():
        found = headline(replace(one, summary=replace(one.summary, arms=arms)))
        assert any(words in line for line in [*found.notes, *found.warnings]), found.warnings
