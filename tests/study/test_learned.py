"""What a card says that its model learned on, and what the test trials said of it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from command_line import Call, call, refused
from path_files import CARD, save_task_path
from taskct.errors import UserError
from taskct.scanner.kernels import mtf
from taskct.study.card_text import card_rows
from taskct.study.cards import learned_of, read_denoiser_card
from taskct.study.model_results import read_model_results, results_path
from taskct.study.run_folder import RunFolder
from tiny_study import path_run, tiny_run, tiny_settings

__all__ = ["call", "path_run", "refused", "tiny_run"]  # fixtures


def test_a_card_says_what_the_training_images_are_like(tiny_run: RunFolder) -> None:
    told = learned_of(read_denoiser_card(tiny_run.weights("lambda=0.9_seed=0")))
    settings, trials = tiny_run.settings, tiny_run.read("train")
    assert told.pixel_mm == settings.scanner.pixel_mm
    assert (told.slice_mm, told.dose_fraction, told.n_trials) == (None, settings.scanner.dose_fraction, 48)
    assert told.image_pixels == [20, 20]
    assert told.anatomy == "a torso phantom that differs in every trial; regions in a body of soft tissue (like liver)"
    assert told.range_hu is not None
    assert np.mean(trials.noisy < told.range_hu[0]) == pytest.approx(0.001, abs=1e-4)
    assert np.mean(trials.noisy > told.range_hu[1]) == pytest.approx(0.001, abs=1e-4)
    assert told.noise_hu is not None
    # The bins are ten pixels wide, so that much of the noise is wider than a block and taken for background.
    known = float((trials.noisy - trials.reference).std(axis=(1, 2)).mean())
    assert told.noise_hu.low < told.noise_hu.mean < told.noise_hu.high < known
    assert told.kernel is not None
    bin_mm = settings.scanner.bin_mm * settings.scanner.source_isocenter_mm / settings.scanner.source_detector_mm
    for level, frequency in ((0.5, told.kernel.mtf50_per_mm), (0.1, told.kernel.mtf10_per_mm)):
        assert float(mtf(np.array(frequency), isocenter_bin_mm=bin_mm, window="hann")) == pytest.approx(level, abs=1e-3)


def test_blends_and_paths_say_it_too(tiny_run: RunFolder, path_run: RunFolder) -> None:
    control = read_denoiser_card(tiny_run.weights("lambda=0_seed=0"))
    blend = read_denoiser_card(tiny_run.weights("lambda=0.9_seed=0.blend"))
    path = read_denoiser_card(path_run.weights("path_seed=0"))
    for card in (blend, path):
        assert card["learned_on"]["noise_hu"] is not None
        assert card["intended_use"].startswith("research")
    assert blend["learned_on"] == control["learned_on"]


def test_a_card_from_before_is_read(tmp_path: Path) -> None:
    told = learned_of(read_denoiser_card(save_task_path(tmp_path / "path.safetensors")))
    assert told.pixel_mm == CARD["pixel_mm"]
    assert told.noise_hu is told.range_hu is told.kernel is told.anatomy is None
    assert ("noise", "unknown") in card_rows(CARD, None)


@pytest.mark.parametrize(
    "learned",
    [
        3,
        {"pixel_mm": -1.0},
        {"range_hu": [100.0, -100.0]},
        {"range_hu": [1.0]},
        {"noise_hu": {"mean": 1.0}},
        {"noise_hu": {"mean": 1.0, "low": 3.0, "high": 2.0}},
        {"texture_per_mm": {"mean": 1.0, "low": -1.0, "high": 2.0}},
        {"kernel": {"name": "soft"}},
        {"n_trials": 0},
    ],
)
def test_what_cannot_have_been_learned_on(tmp_path: Path, learned: object) -> None:
    path = save_task_path(tmp_path / "path.safetensors")
    path.with_suffix(".json").write_text(json.dumps(CARD | {"learned_on": learned}))
    with pytest.raises(UserError, match=r"path\.json (is broken|lacks) .*it must be the card that taskct wrote"):
        read_denoiser_card(path)


def test_the_results_lie_beside_the_model(path_run: RunFolder) -> None:
    summary = json.loads((path_run.path / "summary.json").read_text())
    arms = {arm["name"]: arm for arm in summary["arms"]}
    for stem, names in (
        ("mse_seed=0", ["mse"]),
        ("lambda=0.9_seed=0", ["lambda=0.9"]),
        ("lambda=0.9_seed=0.blend", ["lambda=0.9 alpha=0.5"]),
        ("path_seed=0", ["path price=0.02", "path price=0.05"]),
    ):
        results = read_model_results(path_run.weights(stem))
        assert results is not None
        assert [arm.name for arm in results.arms] == names
        for arm in (*results.arms, results.low_dose):
            assert arm is not None
            assert arm.rmse_hu.model_dump() == arms[arm.name]["image_quality"]["rmse_hu"]
            found, told = arm.observers["ho"], arms[arm.name]["observers"]["ho"]
            assert (found.value, found.ci_low, found.ci_high) == (told["auc"], told["ci_low"], told["ci_high"])


def test_no_training_depends_on_the_licence(tiny_run: RunFolder) -> None:
    named = tiny_settings(training={"seeds": [0, 1]}, model={"licence": "CC-BY-4.0"})
    change = RunFolder(tiny_run.path, named, device=tiny_run.device, read_only=True).change
    assert change is not None
    assert set(change.anew) == {"results"}


def test_the_command_prints_a_card(
    call: Call, refused: Callable[..., str], path_run: RunFolder, tmp_path: Path
) -> None:
    model = path_run.weights("path_seed=0")
    code, out, err = call("card", model)
    assert (code, err) == (0, "")
    for text in ("dial at 2 % of RMSE, seed 0", "not stated", "learned on", "MTF50", "path price=0.05", "AUC of"):
        assert text in out
    content = json.loads(call("card", model, "--json")[1])
    assert content["learned_on"] == json.loads(model.with_suffix(".json").read_text())["learned_on"]
    assert content["results"]["arms"][0]["name"] == "path price=0.02"
    assert "no model" in refused("card", tmp_path / "none.safetensors")
    alone = save_task_path(tmp_path / "alone.safetensors")
    assert "not evaluated" in call("card", alone)[1]
    results_path(alone).write_text('{"arms": 3}')
    assert "holds no results of a model" in refused("card", alone)


def test_text_of_a_card_is_shown_as_it_is(call: Call, tmp_path: Path) -> None:
    path = save_task_path(tmp_path / "path.safetensors")
    path.with_suffix(".json").write_text(json.dumps(CARD | {"licence": "[bold]\x1b[31mfree"}))
    _, out, _ = call("card", path)
    assert "[bold]\\x1b[31mfree" in out
