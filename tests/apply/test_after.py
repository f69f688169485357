"""A task path after a denoiser elsewhere, on a user's files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

import taskct
from command_line import Call, call, refused
from taskct.apply.after import LEAST_AGREEMENT, agreement
from taskct.study.imports import add_import, read_import, shown_trials
from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep
from tiny_study import tiny_run, tiny_settings

__all__ = ["call", "refused", "tiny_run"]  # fixtures
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    path = tmp_path_factory.mktemp("after") / "run"
    settings = tiny_settings(training={"method": "none"})
    folder = RunFolder(path, settings, device=CPU)
    sweep(folder, ["simulate"])
    images = {}
    for name in ("train", "validation", "fresh", "test"):
        trials = shown_trials(folder, name)
        assert trials is not None
        images[name] = gaussian_filter(trials.noisy, (0, 1, 1))
    add_import(path, "box", images, {})
    changed = {"training": {"method": "task-path"}, "imported": {"names": ["box"], "path_of": "box"}}
    folder = RunFolder(path, tiny_settings(**changed, path={"epochs": 1}), device=CPU)
    sweep(folder, ["train", "evaluate"])
    return folder


def model_of(run: RunFolder) -> Path:
    return run.path / "models" / "path_import=box_seed=0.safetensors"


def test_files_get_what_the_study_evaluated(run: RunFolder, tmp_path: Path, call: Call) -> None:
    low, made = np.array(run.read("test").noisy), np.array(read_import(run, "box", "test"))
    np.save(tmp_path / "low.npy", low)
    np.save(tmp_path / "made.npy", made)
    model = model_of(run)
    given = model, tmp_path / "low.npy", tmp_path / "out.npy", "--after", tmp_path / "made.npy"
    code, _, err = call("denoise", *given, "--price", "2%", "--anyway", "--device", "cpu", "--progress", "none")
    assert code == 0, err
    out = np.load(tmp_path / "out.npy")
    margin = run.settings.trials.margin_pixels
    inner = slice(margin, low.shape[1] - margin)
    evaluated = taskct.open_run(run.path, device="cpu").arm("path import=box price=0.02").images()
    np.testing.assert_allclose(out[:, inner, inner], evaluated, atol=2e-3)
    again = taskct.load_denoiser(model, price=0.02)(low, after=made, anyway=True)
    np.testing.assert_array_equal(again, out)
    code, _, _ = call("denoise", model, *given[1:2], tmp_path / "same.npy", *given[3:], "--price", "0", "--anyway")
    assert code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "same.npy"), made)


def test_what_does_not_fit_is_one_line_and_nothing_written(run: RunFolder, tmp_path: Path, refused: Call) -> None:
    low, made = np.array(run.read("test").noisy), np.array(read_import(run, "box", "test"))
    files = {"low": low, "made": made, "fewer": made[:-1], "turned": made[:, ::-1, ::-1], "bad": made * np.nan}
    for name, images in files.items():
        np.save(tmp_path / f"{name}.npy", images)
    start = "denoise", model_of(run), tmp_path / "low.npy", tmp_path / "out.npy", "--anyway"

    def after(name: str) -> tuple[object, ...]:
        return (*start, "--after", tmp_path / f"{name}.npy")

    assert "by --after" in refused(*start)
    assert "each slice once" in refused(*after("fewer"))
    assert "not one of low.npy denoised" in refused(*after("turned"))
    assert "not finite" in refused(*after("bad"))
    assert "holds the images of low.npy themselves" in refused(*after("low"))
    assert "does not exist" in refused(*after("none"))
    assert "leave --tile out" in refused(*after("made"), "--tile", 16)
    assert not (tmp_path / "out.npy").exists()


def test_a_model_that_runs_by_itself_takes_none(tmp_path: Path, tiny_run: RunFolder, refused: Call) -> None:
    images = np.array(tiny_run.read("test").noisy)
    np.save(tmp_path / "low.npy", images)
    model = tiny_run.path / "models" / "mse_seed=0.safetensors"
    said = refused("denoise", model, tmp_path / "low.npy", tmp_path / "o.npy", "--after", tmp_path / "low.npy")
    assert "leave it out" in said


def test_two_slices_are_told_from_one_denoised() -> None:
    """Correlations of unlike fields of this size have a spread of 0.06: 3 spreads lie below the limit."""
    rng = np.random.default_rng(0)
    low = rng.normal(40.0, 20.0, (50, 32, 32))
    denoised = gaussian_filter(low, (0, 1, 1))
    own = [agreement(a, b) for a, b in zip(low, denoised, strict=True)]
    others = [agreement(a, b) for a, b in zip(low, np.roll(denoised, 1, axis=0), strict=True)]
    assert min(own) > LEAST_AGREEMENT > max(others)


def test_its_card_says_what_it_is_and_no_file_can_hold_it(
    run: RunFolder, tmp_path: Path, call: Call, refused: Call
) -> None:
    code, out, _ = call("card", model_of(run))
    assert code == 0
    assert "added to the images of a denoiser elsewhere" in " ".join(out.split())
    for target in ("path.onnx", "path.zip"):
        bundle = ("--bundle",) if target.endswith("zip") else ()
        line = refused("export-model", model_of(run), tmp_path / target, *bundle)
        assert "taskct denoise --after" in line
        assert "UserError" not in line
    assert list(tmp_path.iterdir()) == []
