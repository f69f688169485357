"""The observers of one arm: one that its images do not suit is left out, with a note, and the others go on."""

from types import SimpleNamespace

import numpy as np
import pytest

from taskct.config import make_settings
from taskct.errors import UserError
from taskct.names import LOW_DOSE
from taskct.study.arm_result import read_result, write_result
from taskct.study.arms import Arm, arms_of
from taskct.study.evaluate import FRESH, SPLITS_SEEN, Evaluator, fit_fresh
from taskct.study.harm import HarmMeter
from taskct.study.result_files import observer_notes
from taskct.trials.trials import TRUTH, Trials

SIDE, N = 16, 60
SETTINGS = make_settings(
    {
        "signal": {"site": "list"},
        "trials": {"region_pixels": SIDE, "margin_pixels": 0},
        "observers": {"more": ["cho_gabor", "cho_pca", "npw"]},
    }
)


def trials(seed: int, n: int = N) -> Trials:
    rng = np.random.default_rng(seed)
    present = np.arange(n) % 2 == 0
    images = rng.normal(0.0, 10.0, (n, SIDE, SIDE)).astype(np.float32)
    images[present, 6:10, 6:10] += 8.0
    truth = dict.fromkeys(TRUTH, np.zeros(n)) | {"diameter_mm": np.full(n, 4.0), "contrast_hu": np.full(n, 8.0)}
    return Trials(images, images, present, truth)


def splits(n_fresh: int = N) -> dict[str, Trials]:
    return {name: trials(seed, n_fresh if name == "fresh" else N) for seed, name in enumerate(SPLITS_SEEN)}


def images_of(held: dict[str, Trials]) -> dict[str, np.ndarray]:
    return {name: one.noisy for name, one in held.items()}


def test_an_observer_with_too_few_trials_fails_alone() -> None:
    held = splits(n_fresh=20)  # 40 Gabor channels need 42
    fresh, failed = fit_fresh(SETTINGS, images_of(held), held)
    assert list(fresh) == [*FRESH, "cho_pca", "npw"]
    assert list(failed) == ["cho_gabor"]
    assert "42 training trials" in failed["cho_gabor"]
    assert "cho_gabor" not in fresh


def test_a_candidate_that_does_not_fit_is_left_out_and_noted() -> None:
    held = splits(n_fresh=40)
    settings = SETTINGS.model_copy(
        update={"observers": SETTINGS.observers.model_copy(update={"ridges": (1e-300, 1.0, 1.0)})}
    )
    fresh, _ = fit_fresh(settings, images_of(held), held)
    assert fresh["ho"].value == 1.0
    assert "ridge 1e-300 was left out" in "; ".join(fresh["ho"].notes)
    assert "training trials" in "; ".join(fresh["ho"].notes)  # beside what else is to be known


def test_images_of_rank_1_leave_an_observer_that_lives_with_them() -> None:
    """Multiples of one pattern: learned channels are as many as there are; Gabor's 40 are combinations of one."""
    held = splits()
    pattern = np.random.default_rng(9).choice([-2.0, -1.0, 1.0, 2.0, 4.0], size=(SIDE, SIDE))
    # Of few digits, so that float32 holds the products without rounding, which would be noise of full rank.
    multiples = {name: np.random.default_rng(seed).normal(size=N).astype(np.float16) for seed, name in enumerate(held)}
    images = {
        name: ((multiples[name] + 2.0 * held[name].signal_present)[:, None, None] * pattern).astype(np.float32)
        for name in held
    }
    fresh, failed = fit_fresh(SETTINGS, images, held)
    assert list(failed) == ["cho_gabor"]
    assert "singular" in failed["cho_gabor"]
    for name in fresh.keys() - {"ho_eye"}:  # all see the one pattern, so all without internal noise rank alike
        assert fresh[name].validation_auc == pytest.approx(fresh["ho"].validation_auc, abs=1e-12)


def test_images_that_suit_nobody_are_an_error_and_those_that_suit_one_are_not() -> None:
    held = splits()
    with pytest.raises(UserError, match="all training images are the same"):
        fit_fresh(SETTINGS, {name: np.ones_like(one.noisy) for name, one in held.items()}, held)
    alike = {
        name: np.where(one.signal_present[:, None, None], one.noisy[0], one.noisy[1]) for name, one in held.items()
    }
    fresh, failed = fit_fresh(SETTINGS, alike, held)  # no noise: logistic regression needs none, an eye has its own
    assert list(fresh) == ["slnn", "ho_eye"]
    assert all("alike" in failed[name] for name in ("ho", "npw"))


@pytest.fixture
def evaluator() -> Evaluator:
    """Of a run that is no more than its trials."""
    made = Evaluator.__new__(Evaluator)
    made.settings = SETTINGS
    made.run = SimpleNamespace(device="cpu")  # type: ignore[assignment]
    made.splits = splits(n_fresh=20)
    made.reference = images_of(made.splits)
    made.site = np.zeros((N, SIDE, SIDE), dtype=bool)
    made.site[:, 6:10, 6:10] = True
    made.examples = np.array([0, 1])
    made.harm = HarmMeter(SETTINGS, made.splits["test"], made.site)
    return made


def low_dose() -> Arm:
    return next(arm for arm in arms_of(SETTINGS) if arm.name == LOW_DOSE)


def test_the_result_of_an_arm_says_who_is_missing(evaluator: Evaluator, tmp_path) -> None:
    result = evaluator.evaluate(low_dose(), images_of(evaluator.splits))
    assert list(result.scores) == [*FRESH, "cho_pca", "npw"]
    assert result.notes["cho_gabor"].startswith(f"left out of {LOW_DOSE}: 40 channels need")
    assert result.validation_auc.keys() == result.scores.keys()
    write_result(tmp_path / "arm", result)
    run = SimpleNamespace(evaluated=lambda stem: tmp_path / "arm")
    again = read_result(run, low_dose())  # type: ignore[arg-type]
    assert list(again.scores) == list(result.scores)
    assert again.notes == result.notes
    assert again.harm.numbers == result.harm.numbers
    assert again.conventions == result.conventions
    for name, array in result.harm.arrays.items():
        np.testing.assert_array_equal(again.harm.arrays[name], array)
    for name, statistic in result.frozen.items():
        np.testing.assert_array_equal(again.frozen[name], statistic)
    # These images are their own reference here.
    names = ("ho", "ho_eye", "cho_pca")  # of those that the study has, and that suit these images
    assert set(result.frozen) == {f"{source}/{name}" for source in (LOW_DOSE, "reference") for name in names}
    np.testing.assert_allclose(result.frozen["low-dose/ho"], result.scores["ho"], rtol=1e-9)


def test_an_observer_that_says_the_same_of_every_test_trial_is_left_out(
    evaluator: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from taskct.observers import NPW

    fitted = NPW.test_statistic
    monkeypatch.setattr(
        NPW,
        "test_statistic",
        lambda self, images: (
            0.0 * fitted(self, images) if images is evaluator.splits["test"].noisy else fitted(self, images)
        ),
    )
    result = evaluator.evaluate(low_dose(), images_of(evaluator.splits))
    assert "npw" not in result.scores.keys() | result.validation_auc.keys()
    assert "decides nothing" in result.notes["npw"]


def test_why_an_observer_is_missing_is_told_whatever_comes_after() -> None:
    def result(scores: dict[str, int], notes: dict[str, str]) -> SimpleNamespace:
        return SimpleNamespace(scores=scores, notes=notes)

    told = observer_notes(
        [
            result({}, {"npw": "left out of mse: a", "ho": "left out of mse: b"}),
            result({"npw": 1, "slnn": 1}, {"npw": "few trials", "slnn": "few", "ho": "left out of tv: c"}),
            result({"npw": 1, "slnn": 1}, {"slnn": "fewer"}),
        ]
    )
    assert told == {"slnn": "fewer", "npw": "left out of mse: a", "ho": "left out of mse: b; left out of tv: c"}
