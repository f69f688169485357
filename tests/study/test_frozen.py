"""Observers carried from one arm's images to another's."""

from pathlib import Path

import numpy as np
import pytest

from taskct.metrics.roc import auc
from taskct.names import LOW_DOSE, ArmName
from taskct.observers import ChannelizedHotelling, Hotelling, HotellingEye
from taskct.observers.fresh import Fitted
from taskct.study.arm_result import read_result, read_templates, write_templates
from taskct.study.arms import Arm, arms_of
from taskct.study.evaluate import Evaluator, fit_fresh
from taskct.study.frozen import (
    OF_CONTROL,
    WORKING_FPF,
    Template,
    criterion,
    false_positives,
    frozen_names,
    frozen_rows,
    frozen_scores,
    source_name,
    sources_of,
    templates_of,
)
from taskct.study.resampling import Resampling, Unit
from taskct.study.run_folder import RunFolder
from tiny_study import tiny_run, tiny_settings

__all__ = ["tiny_run"]  # a fixture

N, SIDE = 240, 8
PRESENT = np.arange(N) % 2 == 0


def images(seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(0.0, 10.0, (N, SIDE, SIDE))
    found[PRESENT, 3:5, 3:5] += 8.0
    return found.astype(np.float32)


def fitted(observer) -> Fitted:
    return Fitted(observer.fit(images(0), PRESENT), None, 0.5, ())


def test_a_template_says_what_the_observer_said_and_its_internal_noise_too(tmp_path: Path) -> None:
    fresh = {
        "ho": fitted(Hotelling(ridge=0.3)),
        "ho_eye": fitted(HotellingEye(pixel_mm=1.0, internal_noise_hu=3.0, seed=4)),
        "cho_gabor": fitted(ChannelizedHotelling(channels="lg", internal_noise=0.5, seed=5)),
    }
    templates = templates_of(fresh, ("ho", "ho_eye", "cho_gabor", "cho_pca"), images(1), PRESENT)
    assert list(templates) == list(fresh)
    write_templates(tmp_path / "arm", templates)
    scores = frozen_scores(read_templates(tmp_path / "arm"), images(2))
    for name, one in fresh.items():
        np.testing.assert_allclose(scores[name], one.observer.test_statistic(images(2)), rtol=1e-9, atol=1e-9)
        statistic = one.observer.test_statistic(images(1))[~PRESENT]
        assert np.mean(statistic > templates[name].criterion) == pytest.approx(WORKING_FPF, abs=1 / len(statistic))


def test_what_an_observer_gains_when_frozen_is_its_area_by_hand() -> None:
    first, second = images(3), images(4)
    one = Hotelling(ridge=1.0).fit(first, PRESENT)
    t = frozen_scores(templates_of({"ho": fitted(Hotelling(ridge=1.0))}, ("ho",), first, PRESENT), second)["ho"]
    unit = Unit(PRESENT, None, N, True)
    arm = Arm(ArmName("lambda", 0.9, seed=0))
    control = one.test_statistic(second)
    (row,) = frozen_rows(arm, {"low-dose/ho": t}, {"low-dose/ho": control}, unit)
    by_hand = Hotelling(ridge=1.0).fit(images(0), PRESENT).test_statistic(second)
    assert row["auc"]["value"] == pytest.approx(auc(by_hand[PRESENT], by_hand[~PRESENT]))
    assert row["delta"]["value"] == pytest.approx(row["auc"]["value"] - auc(control[PRESENT], control[~PRESENT]))
    assert (row["fitted_on"], row["observer"]) == ("low-dose", "ho")
    (alone,) = frozen_rows(Arm(ArmName("lambda", 0.0, seed=0)), {"low-dose/ho": t}, {"low-dose/ho": t}, unit)
    assert alone["delta"] is None


def test_a_signal_that_is_painted_everywhere_shows_as_false_positives() -> None:
    """A denoiser that adds the template to every image: whoever keeps the criterion is misled, who refits is not."""
    templates = templates_of({"ho": fitted(Hotelling(ridge=1.0))}, ("ho",), images(1), PRESENT)
    weights = templates["ho"].weights
    painted = images(2) + 8.0 * weights / np.abs(weights).max()
    resampling = Resampling(Unit(PRESENT, None, N, True), 100, 0)
    scores = frozen_scores({f"mse/{name}": one for name, one in templates.items()}, painted)
    before = frozen_scores({f"mse/{name}": one for name, one in templates.items()}, images(2))
    rates = [
        false_positives(one, {"mse/ho": templates["ho"].criterion}, resampling)[0]["false_positive_fraction"]
        for one in (before, scores)
    ]
    assert rates[0]["ci_low"] < WORKING_FPF < rates[0]["ci_high"]
    assert rates[1]["ci_low"] > 0.5
    own = {"ho": scores["mse/ho"]}
    fresh = false_positives(own, {"ho": criterion(scores["mse/ho"][~PRESENT])}, resampling)[0]
    assert fresh["false_positive_fraction"]["value"] == pytest.approx(WORKING_FPF, abs=0.01)
    assert fresh["fitted_on"] == "own"
    assert false_positives({"reference/ho": before["mse/ho"]}, {"reference/ho": 0.0}, resampling) == []


def test_who_builds_on_whom() -> None:
    settings = tiny_settings(observers={"more": ["cho_gabor", "npw"]}, denoiser={"classical": ["nlm"]})
    assert frozen_names(settings) == ("ho", "ho_eye", "cho_gabor")
    by_name = {arm.name: arm for arm in arms_of(settings)}
    sources = {name: [source.name for source in sources_of(arm, settings)] for name, arm in by_name.items()}
    assert sources[LOW_DOSE] == []
    assert sources["mse"] == sources["nlm"] == [LOW_DOSE]
    assert sources["lambda=0.9"] == sources["lambda=0.9 alpha=0.5"] == [LOW_DOSE, "mse"]
    own_start = tiny_settings(grid={"training.learning_rate": [1e-4]})
    variant = next(arm for arm in arms_of(own_start) if "learning_rate=0.0001" in arm.name and arm.task_weight)
    assert sources_of(variant, own_start)[1].overrides == variant.overrides


def test_arms_of_a_study_with_a_task_path_meet_the_controls_observers() -> None:
    settings = tiny_settings(training={"method": "both"}, path={"prices": [0.05, 0.02]})
    by_name = {arm.name: arm for arm in arms_of(settings)}
    sources = {name: [source.name for source in sources_of(arm, settings)] for name, arm in by_name.items()}
    assert sources["mse"] == [LOW_DOSE]
    assert sources["lambda=0"] == [LOW_DOSE, "mse"]
    ended = [LOW_DOSE, "mse", "lambda=0"]
    assert sources["path price=0.02"] == sources["path price=0.05"] == sources["lambda=0.9"] == ended
    assert sources["lambda=0.9 head=eye"] == [LOW_DOSE, "mse", "lambda=0 head=eye"]
    left = {name: source_name(arm, settings) for name, arm in by_name.items()}
    assert {name for name, one in left.items() if one == OF_CONTROL} == {"lambda=0", "lambda=0 head=eye"}
    joint = tiny_settings()
    assert OF_CONTROL not in {source_name(arm, joint) for arm in arms_of(joint)}


def test_a_run_carries_its_observers(tiny_run: RunFolder) -> None:
    """Of the second seed too, whose low-dose images were evaluated with the first."""
    arms = {(arm.name, arm.seed): arm for arm in arms_of(tiny_run.settings)}
    for seed in (0, 1):
        found = read_result(tiny_run, arms["lambda=0.9", seed])
        names = {f"{source}/{name}" for source in ("low-dose", "mse", "reference") for name in ("ho", "ho_eye")}
        assert set(found.frozen) == names
        own = read_result(tiny_run, arms["mse", seed])
        np.testing.assert_allclose(own.frozen["mse/ho"], own.scores["ho"], rtol=1e-9)
        blended = read_result(tiny_run, arms["lambda=0.9 alpha=0.5", seed])
        control = read_result(tiny_run, arms["lambda=0", seed])
        # Linear in the image: what it says of a blend lies between what it says of the two.
        mean = 0.5 * (found.frozen["mse/ho"] + control.frozen["mse/ho"])
        np.testing.assert_allclose(blended.frozen["mse/ho"], mean, atol=1e-3 * np.ptp(mean))


def test_the_frozen_observer_of_a_run_is_the_one_fitted_by_hand(tiny_run: RunFolder) -> None:
    arms = {arm.name: arm for arm in arms_of(tiny_run.settings) if arm.seed == 0}
    evaluator = Evaluator(tiny_run)
    low_dose = evaluator.images(arms[LOW_DOSE])
    fresh, _ = fit_fresh(tiny_run.settings, low_dose, evaluator.splits, names=("ho",))
    denoised = evaluator.images(arms["lambda=0.9"])["test"]
    by_hand = fresh["ho"].observer.test_statistic(denoised)
    np.testing.assert_allclose(read_result(tiny_run, arms["lambda=0.9"]).frozen["low-dose/ho"], by_hand, rtol=1e-6)


def test_no_templates_say_nothing() -> None:
    assert frozen_scores({}, images(0)) == {}
    numbers = np.array([1.0, 2.0, 3.0, 4.0])
    assert Template.of(np.ones((2, 2)), numbers).numbers == (1.0, 2.0, 3.0, 4.0)
