"""The panel: first trials, worst trials, every arm, within a budget."""

import numpy as np
import pytest

from taskct.config import make_settings
from taskct.study import panel
from taskct.study.arm_result import ArmResult
from taskct.study.arms import arms_of
from taskct.study.panel import FALSE, FIRST, LOSS, examples, panel_of
from taskct.study.run_folder import RunFolder
from taskct.trials.trials import TRUTH, Trials
from tiny_study import tiny_run

__all__ = ["tiny_run"]  # a fixture

N, SIDE = 60, 16
SETTINGS = make_settings(
    {
        "trials": {"region_pixels": SIDE, "margin_pixels": 0},
        "signal": {"site": "list"},
        "training": {"lambdas": [0, 0.5, 0.9]},
        "evaluation": {"n_examples": 2},
    }
)


@pytest.fixture
def test_trials() -> Trials:
    rng = np.random.default_rng(0)
    image = rng.normal(size=(N, SIDE, SIDE)).astype(np.float32)
    truth = {name: np.zeros(N) for name in TRUTH} | {"contrast_hu": np.where(np.arange(N) < 30, 40.0, -40.0)}
    return Trials(image, image, np.arange(N) % 2 == 0, truth)


@pytest.fixture
def results(test_trials: Trials) -> list[ArmResult]:
    rng = np.random.default_rng(1)
    found = []
    for arm in arms_of(SETTINGS):
        quality = {"site_bias_hu": rng.normal(size=N), "peak_disc_hu": rng.random(N)}
        shown = test_trials.reference[[0, 2, 1, 3]]
        found.append(ArmResult(arm, {}, quality, {}, {}, 1.0, None, examples=shown))
    return found


def shown(settings, test, results, chosen="lambda=0.9"):
    return examples(settings, test, results, chosen=chosen, seed=0, denoise=lambda r, index: test.noisy[index])


def test_the_worst_trials_are_those_that_lose_most_towards_the_background(test_trials, results) -> None:
    mse = next(r for r in results if r.arm.name == "mse")
    bias = mse.quality["site_bias_hu"]
    bias[:] = 0.0
    bias[[10, 40, 20]] = [-30.0, 25.0, -20.0]  # a bright signal darker, a dark one brighter, a bright one darker
    bias[[0, 50]] = [-90.0, -40.0]  # one that is shown already, a dark one darker still
    mse.quality["peak_disc_hu"][:] = 0.0
    mse.quality["peak_disc_hu"][[11, 31, 12]] = [5.0, 9.0, 99.0]  # the last one holds a signal
    found = panel_of(SETTINGS, test_trials, mse)
    assert found.index[:4].tolist() == [0, 2, 1, 3]
    assert found.why[:4] == (FIRST,) * 4
    assert found.index[4:7].tolist() == [10, 40, 20]
    assert found.index[8:10].tolist() == [31, 11]
    assert found.why[4:] == (LOSS,) * 4 + (FALSE,) * 4
    assert len(set(found.index.tolist())) == 12
    arrays = shown(SETTINGS, test_trials, results)
    assert arrays["contrast_loss_hu"][4:7].tolist() == [30.0, 25.0, 20.0]
    assert arrays["false_signal_hu"][8:10].tolist() == [9.0, 5.0]


def test_every_arm_is_there_while_the_budget_lasts(test_trials, results, monkeypatch) -> None:
    arrays = shown(SETTINGS, test_trials, results)
    names = {f"denoised/{r.arm.name}" for r in results if r.arm.name != "low-dose"}
    assert {name for name in arrays if name.startswith("denoised/")} == names
    assert len(arrays["left_out"]) == 0
    assert arrays["why"].dtype.kind == "U"
    for name in names | {"noisy"}:
        assert np.array_equal(arrays[name], test_trials.reference[arrays["trial"]])  # as `denoise` gives them here
    # Room for the reference, four arms that are always there, and one more.
    monkeypatch.setattr(panel, "BUDGET_BYTES", 6 * 12 * 4 * SIDE**2)
    fewer = shown(SETTINGS, test_trials, results)
    kept = [name.removeprefix("denoised/") for name in fewer if name.startswith("denoised/")]
    assert kept == ["mse", "lambda=0", "lambda=0.9", "lambda=0.5"]
    assert sorted([*kept, "low-dose", *fewer["left_out"]]) == sorted({r.arm.name for r in results})
    monkeypatch.setattr(panel, "BUDGET_BYTES", 5 * 6 * 4 * SIDE**2)
    assert list(shown(SETTINGS, test_trials, results)["why"]) == [FIRST] * 4 + [LOSS, FALSE]


def test_the_images_of_a_run_are_what_its_denoisers_give(tiny_run: RunFolder) -> None:
    """Worst trials are denoised once more when results are put together; a blend is the mean of its two."""
    with np.load(tiny_run.path / "examples.npz") as file:
        arrays = dict(file)
    n_first = 2 * tiny_run.settings.evaluation.n_examples
    picked = arrays["why"] != FIRST
    assert picked.sum() == 8
    assert not picked[:n_first].any()
    assert (arrays["signal_present"] == (arrays["why"] == LOSS))[picked].all()
    a = 0.5
    mixed = (1 - a) * arrays["denoised/lambda=0"] + a * arrays["denoised/lambda=0.9"]
    np.testing.assert_allclose(arrays["denoised/lambda=0.9 alpha=0.5"], mixed, atol=1e-3)
    test = tiny_run.read("test")
    assert np.array_equal(arrays["noisy"], test.noisy_regions[arrays["trial"]])
    # The bias of the images that are shown is the bias that was measured.
    mse = np.mean((arrays["denoised/mse"] - arrays["reference"]) ** 2, axis=(1, 2))
    assert np.isfinite(mse).all()
