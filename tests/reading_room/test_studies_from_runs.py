"""Reading studies of a run: its test trials as its arms show them, and training trials that are none of these."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from taskct import open_run
from taskct.errors import UserError
from taskct.reading_room.design import ReadingPlan
from taskct.reading_room.from_run import TRAINING_CONTRAST, lesions_of, material_of_run
from taskct.reading_room.making import make_study
from taskct.study.imports import NEEDED, add_import, read_import
from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep
from tiny_study import path_run, tiny_run, tiny_settings

__all__ = ["path_run", "tiny_run"]

SMALL = ReadingPlan("rating", n_cases=12, n_training=4, seed=1)


def _number(name: str) -> int:
    return int(name.split()[1])


def test_images_are_those_of_the_run(tiny_run: RunFolder) -> None:
    """By another way: the arm's own weights, read and applied as notebooks do. Whole HU differ by rounding alone."""
    arms = ["low-dose", "mse", "lambda=0.90", "control", "lambda=0.9 alpha=0.5", "lambda=0 head=eye"]
    cases = material_of_run(tiny_run.path, SMALL, arms, device="cpu").cases
    named = ["low-dose", "mse", "lambda=0.9", "lambda=0", "lambda=0.9 alpha=0.5", "lambda=0 head=eye"]
    assert list(cases.images) == named
    run = open_run(tiny_run.path, device="cpu")
    index = [_number(name) for name in cases.names]
    test = run.trials("test")
    assert cases.present.tolist() == test.signal_present[index].tolist()
    assert cases.present.sum() == 6
    for arm in named:
        wanted = run.arm(arm).images("test")[index]
        assert np.abs(cases.images[arm] - wanted).max() < 0.51, arm


def test_a_task_path_and_images_from_elsewhere_are_read_too(path_run: RunFolder, tmp_path: Path) -> None:
    cases = material_of_run(path_run.path, SMALL, ["path price=0.02", "path price=0.05"], device="cpu").cases
    run = open_run(path_run.path, device="cpu")
    index = [_number(name) for name in cases.names]
    for arm, images in cases.images.items():
        assert np.abs(images - run.arm(arm).images("test")[index]).max() < 0.6, arm
    place = tmp_path / "run"
    shutil.copytree(path_run.path, place)
    plain = RunFolder(place, None, device=path_run.device)
    theirs = {split: np.asarray(plain.read(split).noisy) + 5.0 for split in NEEDED}
    add_import(place, "vendor", {split: one.astype(np.float32) for split, one in theirs.items()}, {})
    material = material_of_run(place, SMALL, ["import=vendor"], device="cpu")
    index = [_number(name) for name in material.cases.names]
    margin = path_run.settings.trials.margin_pixels
    wanted = read_import(plain, "vendor", "test")[index][:, margin:-margin, margin:-margin]
    assert np.abs(material.cases.images["import=vendor"] - wanted).max() < 0.51
    assert material.training is not None
    assert list(material.training.images) == ["low-dose"]  # nothing here denoises as they do


def test_by_default_readers_compare_low_dose_mse_and_the_chosen_arm(tiny_run: RunFolder) -> None:
    run = open_run(tiny_run.path, device="cpu")
    chosen = run.results.choices.chosen_arm
    material = material_of_run(tiny_run.path, SMALL, device="cpu")
    assert list(material.cases.images) == ["low-dose", "mse", chosen]
    assert list(material_of_run(tiny_run.path, SMALL, ["chosen"], device="cpu").cases.images) == [chosen]
    assert material.window_hu == tiny_run.settings.evaluation.window_hu
    assert material.pixel_mm == tiny_run.settings.scanner.pixel_mm


def test_training_trials_are_others_with_a_stronger_signal(tiny_run: RunFolder) -> None:
    plan = ReadingPlan("rating", n_cases=4, n_training=40, seed=1)
    training = material_of_run(tiny_run.path, plan, ["low-dose"], device="cpu").training
    assert training is not None
    fresh, test = tiny_run.read("fresh"), tiny_run.read("test")
    assert not set(training.backgrounds) & {f"background {int(case)}" for case in test.truth["case"]}
    # The whole fresh split: which trial each is, is known from its background.
    of_background = {f"background {int(case)}": number for number, case in enumerate(fresh.truth["case"])}
    index = [of_background[name] for name in training.backgrounds]
    assert sorted(index) == list(range(len(fresh)))
    assert fresh.signal is not None
    margin = fresh.margin
    added = training.images["low-dose"] - fresh.noisy_regions[index]
    signal = fresh.signal[index][:, margin:-margin, margin:-margin]
    share = np.where(training.present, TRAINING_CONTRAST - 1.0, 0.0)[:, None, None]
    assert np.abs(added - share * signal).max() < 0.51


def test_places_of_signals_are_where_the_scan_shows_them(tmp_path: Path) -> None:
    """The middle of what each signal adds to its image, in a scan that resolves signals."""
    scanner = {"n_views": 92, "n_bins": 184, "bin_mm": 3.7, "object_pixels": 64, "object_pixel_mm": 5.2}
    run = RunFolder(tmp_path / "run", tiny_settings(scanner=scanner), device=torch.device("cpu"))
    sweep(run, ["simulate"])
    fresh = run.read("fresh")
    assert fresh.signal is not None
    rows, columns = np.mgrid[: fresh.noisy.shape[1], : fresh.noisy.shape[2]] - fresh.margin
    off = []
    for image, lesions in zip(fresh.signal, lesions_of(run, fresh), strict=True):
        for lesion in lesions:
            near = np.hypot(rows - lesion.row_px, columns - lesion.column_px) < 5.0
            weight = np.where(near, image, 0.0)
            found = (rows * weight).sum() / weight.sum(), (columns * weight).sum() / weight.sum()
            off.append(float(np.hypot(found[0] - lesion.row_px, found[1] - lesion.column_px)))
    assert len(off) == 20
    assert np.mean(off) < 0.2  # pixels; with rows and columns changed over it would be 3
    assert np.max(off) < 0.5


def test_cases_are_drawn_by_the_seed(tiny_run: RunFolder) -> None:
    def names(seed: int) -> tuple[str, ...]:
        plan = ReadingPlan("2afc", n_cases=8, n_training=0, seed=seed)
        return material_of_run(tiny_run.path, plan, ["low-dose"], device="cpu").cases.names

    assert names(1) == names(1)
    assert names(1) != names(2)


def test_a_study_of_places_is_made_with_the_region_as_its_search_window(tiny_run: RunFolder, tmp_path: Path) -> None:
    plan = ReadingPlan("locate", n_cases=10, n_training=2, seed=1)
    material = material_of_run(tiny_run.path, plan, ["low-dose", "mse"], device="cpu")
    study = make_study(tmp_path / "study", material, plan)
    side = tiny_run.settings.trials.region_pixels
    assert (study.protocol.height, study.protocol.width) == (side, side)
    key = study.read_key()
    sizes = [lesion.diameter_mm or 0.0 for trial in key.trials for lesion in trial.lesions]
    assert key.radius_mm == max(max(sizes) / 2.0, tiny_run.settings.scanner.pixel_mm)
    assert {bool(trial.lesions) for trial in key.trials if trial.present is None} == {False}
    assert {trial.group != "" for trial in key.trials if trial.present is not None} == {True}
    wide = ReadingPlan("locate", n_cases=10, radius_mm=9.0, seed=1)
    assert make_study(tmp_path / "wide", material, wide).read_key().radius_mm == 9.0


def test_what_cannot_be_made_is_one_line(tiny_run: RunFolder, tmp_path: Path) -> None:
    def refused(plan: ReadingPlan, *arms: str) -> str:
        with pytest.raises(UserError) as error:
            material_of_run(tiny_run.path, plan, arms, device="cpu")
        return str(error.value)

    assert "no arm 'lambda=0.3'; its arms are low-dose, mse, lambda=0," in refused(SMALL, "lambda=0.3")
    assert "the arm 'lambda=0.9' is named twice" in refused(SMALL, "lambda=0.9", "lambda=0.90")
    assert "20 cases with a signal and 20 without are too few" in refused(ReadingPlan("2afc", n_cases=21))
    assert "too few to read 21 with" in refused(ReadingPlan("rating", n_cases=42))
    assert "--training is 99, and there are 20 examples" in refused(ReadingPlan("2afc", n_cases=4, n_training=99))
    place = tmp_path / "begun"
    shutil.copytree(tiny_run.path, place)
    (place / "choices.json").unlink()
    with pytest.raises(UserError, match="is not evaluated yet: `taskct run --out"):
        material_of_run(place, SMALL, device="cpu")


def test_images_shown_again_are_told(tiny_run: RunFolder) -> None:
    plan = ReadingPlan("4afc", n_cases=20, n_training=0)
    material = material_of_run(tiny_run.path, plan, ["low-dose"], device="cpu")
    assert any("each is shown up to 3 times in each arm" in line for line in material.notes)
    assert len(material.cases) == 40
    few = material_of_run(tiny_run.path, ReadingPlan("4afc", n_training=0), ["low-dose"], device="cpu")
    assert few.notes == ()
    assert len(few.cases) == 6 + 18  # of 20 images without a signal, 3 a set
