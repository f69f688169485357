"""Denoisers on tasks that they were not trained for: the cells, their resumption, and what is refused."""

import csv
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from taskct.cli import app
from taskct.errors import UserError
from taskct.report.shift import harmed, load_shift, sentence, shift_figure
from taskct.study.arms import arms_of
from taskct.study.run_folder import RunFolder
from taskct.study.shift import Training, arms_tested, tasks_of
from taskct.sweep.shift import Shift
from tiny_study import files_of, run_study, tiny_run, tiny_settings

__all__ = ["tiny_run"]  # a fixture

DARK = "dark: {signal.contrast_hu: [-400, -400]}"
BRIGHT = "bright: {signal.contrast_hu: [400, 400]}"
PLACE = "place: {signal.position_mm: 3, localize_mm: 3}"


def call(*args: object) -> None:
    assert app([str(arg) for arg in args], standalone_mode=False) in (None, 0)


@pytest.fixture(scope="module")
def shifted(tiny_run: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run on its own task, on dark lesions, and where the place must be found."""
    out = tmp_path_factory.mktemp("shift") / "out"
    alone = ("--device", "cpu", "--workers", "1", "--arm", "lambda=0.9")
    call("shift", tiny_run.path, "--out", out, *alone, "--test", DARK, "--test", BRIGHT, "--test", PLACE)
    return out


def test_a_run_on_its_own_task_has_its_own_figures(tiny_run: RunFolder, shifted: Path) -> None:
    """Every AUC, difference and RMSE of the run's summary, to the last digit."""
    summary = json.loads((tiny_run.path / "summary.json").read_text())
    arms = {(arm["name"], arm["seed"]): arm for arm in summary["arms"]}
    shift = load_shift(shifted)
    own = [row for row in shift.rows if row.task == tiny_run.path.name and row.fitted != "frozen"]
    assert {(row.arm, row.observer) for row in own} >= {("mse", "ho"), ("lambda=0.9", "slnn_joint"), ("low-dose", "ho")}
    for row in own:
        assert row.auc.value == pytest.approx(arms[row.arm, row.seed]["observers"][row.observer]["auc"], abs=1e-12)
    for quality in (row for row in shift.quality if row.task == tiny_run.path.name):
        expected = arms[quality.arm, quality.seed]["image_quality"]["rmse_hu"]["value"]
        assert quality.rmse_hu.value == pytest.approx(expected, rel=1e-6)
    frozen = {(r.arm, r.seed, r.observer): r.auc for r in shift.rows if r.task == "tiny-run" and r.fitted == "frozen"}
    assert all(frozen[row.arm, row.seed, row.observer] == row.auc for row in own if row.fitted == "fresh")


def test_the_cells_are_differences_to_mse_on_the_same_trials(shifted: Path) -> None:
    shift = load_shift(shifted)
    assert {(d.arm, d.versus) for d in shift.deltas} == {("lambda=0.9", "mse")}
    assert {d.seed for d in shift.deltas} == {0, 1}
    assert {d.task for d in shift.deltas} == {"tiny-run", "dark", "bright", "place"}
    auc = {(r.task, r.arm, r.seed, r.observer, r.fitted): r.auc.value for r in shift.rows}
    for d in shift.deltas:
        both = (auc[d.task, arm, d.seed, d.observer, d.fitted] for arm in (d.arm, d.versus))
        assert d.delta.value == pytest.approx(np.subtract(*both), abs=1e-12)
        signs = {"harm": d.delta.ci_high < 0, "gain": d.delta.ci_low > 0}
        assert signs.get(d.verdict, True)
        assert d.p_value is None or d.p_holm is None or d.p_holm >= d.p_value
    searching = {d.task for d in shift.deltas if d.observer == "scan_cho_lg"}
    assert searching == {"place"}
    with (shifted / "shift.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(shift.deltas)


def test_what_a_frozen_observer_looks_for_is_told_from_what_is_there(shifted: Path) -> None:
    """An observer of bright lesions is worse than chance on dark ones, with no gain told of it; a fresh one is not."""
    shift = load_shift(shifted)
    frozen, fresh = (
        {task: [r.auc.value for r in shift.rows if (r.task, r.observer, r.fitted) == (task, "ho", fitted)]
         for task in ("dark", "bright")}
        for fitted in ("frozen", "fresh")
    )  # fmt: skip
    assert max(frozen["dark"]) < 0.5 < min(frozen["bright"])
    assert min(fresh["dark"] + fresh["bright"]) > 0.5
    verdicts = {d.verdict for d in shift.deltas if (d.task, d.observer, d.fitted) == ("dark", "ho", "frozen")}
    assert verdicts == {"reversed"}


def test_a_stopped_shift_goes_on_and_ends_as_an_unbroken_one(
    tiny_run: RunFolder, shifted: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import taskct.sweep.shift as module

    settings = tiny_run.settings.model_copy(update={"tests": {"dark": {"signal.contrast_hu": [-400, -400]}}})
    run = RunFolder(tiny_run.path, None, device=tiny_run.device)
    run.settings = settings
    done: list[str] = []
    evaluate = module.evaluate_cell

    def until_the_fourth(*args: Any) -> Any:
        done.append(args[2].name)
        if len(done) == 4:
            raise KeyboardInterrupt
        return evaluate(*args)

    monkeypatch.setattr(module, "evaluate_cell", until_the_fourth)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        Shift(out, [run], arms=["lambda=0.9"]).work(workers=1)
    assert not (out / "shift.json").exists()
    before = files_of(out / "cells")
    Shift(out, [run], arms=["lambda=0.9"]).work(workers=1)
    n_cells = 2 * (1 + 2 * 2)  # tasks × (low-dose, and two arms of two seeds)
    assert len(done) == n_cells + 1  # the one that was stopped was begun again, and no other
    assert {name: data for name, data in files_of(out / "cells").items() if name in before} == before
    unbroken = {(r.task, r.arm, r.seed, r.observer, r.fitted): r.auc for r in load_shift(shifted).rows}
    for r in load_shift(out).rows:
        assert unbroken[r.task, r.arm, r.seed, r.observer, r.fitted] == r.auc
    Shift(out, [run], arms=["lambda=0.9"]).work(workers=1)
    assert len(done) == n_cells + 1


def test_no_background_of_the_training_is_in_a_test(tiny_run: RunFolder, shifted: Path) -> None:
    train = set(tiny_run.read("train").truth["case"])
    for name in ("validation", "fresh", "test"):
        truth = np.load(shifted / "tasks" / "dark" / "trials" / name / "truth.npy")
        assert not train & set(truth["case"])
        assert set(truth["case"]) == set(tiny_run.read(name).truth["case"])
    assert not (shifted / "tasks" / "dark" / "trials" / "train").exists()


def test_two_runs_are_tested_on_each_others_tasks(tiny_run: RunFolder, tmp_path: Path) -> None:
    other = run_study(tmp_path / "large", tiny_settings(signal={"diameter_mm": [7, 8]}))
    with pytest.raises(UserError, match="differ in their trials"):
        Shift(tmp_path / "out", [tiny_run, _with(other, n_test=44)])
    shift = Shift(tmp_path / "out", [tiny_run, other], arms=["lambda=0.9"])
    shift.work(workers=1)
    found = load_shift(tmp_path / "out")
    places = {(d.training, d.task) for d in found.deltas}
    assert places == {(a, b) for a in ("tiny-run", "large") for b in ("tiny-run", "large")}
    assert not list((tmp_path / "out" / "tasks").glob("*/trials"))  # each test has the trials of a run


def _with(run: RunFolder, **trials: int) -> RunFolder:
    again = RunFolder(run.path, None, device=run.device)
    again.settings = run.settings.model_copy(update={"trials": run.settings.trials.model_copy(update=trials)})
    return again


def test_the_page_holds_every_cell(shifted: Path) -> None:
    shift, page = load_shift(shifted), (shifted / "shift.html").read_text(encoding="utf-8")
    assert page.count("▼ harm</td>") == len(harmed(shift))
    assert (
        page.count('scope="row">dark')
        == 1 + len({(d.observer, d.fitted) for d in shift.deltas if d.task == "dark"}) + 1
    )
    assert html.escape(sentence(shift)) in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert len(shift_figure(shift, "slnn").axes) == 1


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ({"a": {"signal.contrast_hu": [9]}}, r"^tests\.a: signal\.contrast_hu"),
        ({"a": {"signal.no": 1}}, r"^tests\.a: unknown setting signal\.no"),
        ({"a": {"signal.position_mm": 7, "localize_mm": 3}}, r"^tests\.a: a signal may reach"),
        ({"a": {"signal.position_mm": 4.7, "localize_mm": 3}}, r"window of 5 pixels in a region of 16; it needs 7"),
        ({"a": {"localize_mm": 0}}, r"^tests\.a\.localize_mm is 0: give a distance above 0"),
    ],
)
def test_a_test_task_that_makes_no_study_is_refused(tests: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tasks_of(tiny_settings(tests=tests))


@pytest.mark.parametrize(
    ("tests", "message"),
    [
        ({"a": {"trials.n_test": 9}}, r"tests\.a changes trials\.n_test: a test task changes settings of background"),
        ({"a b": {}}, r"tests has the name 'a b': give 1 to 40 letters"),
    ],
)
def test_what_a_test_task_may_not_change(tests: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        tiny_settings(tests=tests)


def test_which_arms_are_tested(tiny_run: RunFolder) -> None:
    names = [(arm.name, arm.seed) for arm in arms_tested(tiny_run.settings)]
    each = ["mse", "lambda=0", "lambda=0.9"]
    assert names == [("low-dose", 0), *((name, seed) for seed in (0, 1) for name in each)]
    with pytest.raises(UserError, match=r"no arm 'lambda=0\.5' can be tested on other tasks: choose of low-dose, mse"):
        arms_tested(tiny_run.settings, ["lambda=0.5"])


def test_what_is_refused(tiny_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="'tiny-run' names two runs or tests"):
        Shift(tmp_path / "out", [tiny_run, tiny_run])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="is no folder of a task shift"):
        Shift(tmp_path / "full", [tiny_run])
    command = ["shift", str(tiny_run.path), "--out", str(tmp_path / "out"), "--test", "dark"]
    assert app(command, standalone_mode=False) == 2
    assert "--test dark: write NAME: {SETTING: VALUE}" in capsys.readouterr().err
    new = RunFolder(tmp_path / "new", tiny_settings(), device=tiny_run.device)
    with pytest.raises(UserError, match="the stage 'simulate' is not done"):
        Shift(tmp_path / "out", [new])
    assert not (tmp_path / "out").exists()


def test_a_dry_run_tells_time_and_disk_and_writes_nothing(
    tiny_run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("shift", tiny_run.path, "--out", tmp_path / "out", "--test", DARK, "--dry-run", "--device", "cpu")
    out = capsys.readouterr().out
    assert "1 tasks to simulate and 14 cells to test: about" in out
    assert "Disk: 0 MB to write" in out
    assert not (tmp_path / "out").exists()


def test_images_of_an_arm_are_those_of_the_evaluation(tiny_run: RunFolder) -> None:
    training = Training("tiny", tiny_run, arms_tested(tiny_run.settings))
    arm = next(arm for arm in arms_of(tiny_run.settings) if arm.name == "lambda=0.9")
    kept = np.load(tiny_run.evaluated(arm.file_stem).with_name(f"{arm.file_stem}.images.npz"))
    found = training.images(arm, training.splits)
    for name in ("validation", "fresh", "test"):
        np.testing.assert_array_equal(found[name], kept[name])


def test_the_sentence_speaks_of_task_informed_denoisers_alone(shifted: Path) -> None:
    """The control may lose, too, but that is fine-tuning and not the task."""
    shift = load_shift(shifted)
    rows = [row for row in shift.deltas if row.observer == "ho" and row.task == "bright"][:2]
    cells = [replace(rows[0], arm="lambda=0", verdict="harm"), replace(rows[1], verdict="gain")]
    told = sentence(replace(shift, deltas=cells))
    assert told.startswith("Of 1 differences between task-informed denoisers (λ > 0) and MSE, 1 are gains, 0 are harm")
    assert "No observer that was fitted afresh" in told
    cells.append(replace(rows[0], verdict="harm", fitted="fresh"))
    assert sentence(replace(shift, deltas=cells)).endswith("lose by task-informed training on: bright.")
