"""A sweep that is watched: states, losses, time left, and the end."""

import json
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from command_line import call, refused
from taskct.report.watch import state_line, write_watch
from taskct.study.records import lock_folder, log, stage_path
from taskct.study.run_folder import RunFolder
from taskct.sweep.executors import Machine
from taskct.sweep.timetable import timetable
from taskct.sweep.watching import Watch, is_at_work, read_losses
from tiny_study import tiny_run

__all__ = ["call", "refused", "tiny_run"]  # fixtures

TUNE = "finetune lambda=0.9 seed=0"


@pytest.fixture
def folder(tiny_run: RunFolder, tmp_path: Path) -> RunFolder:
    """A finished run that may be changed."""
    shutil.copytree(tiny_run.path, tmp_path / "run")
    return RunFolder(tmp_path / "run", None, device=torch.device("cpu"))


def undo(folder: RunFolder, *stages: str) -> None:
    """As if these stages, and all after them, had not been done."""
    gone = set(stages)
    for stage in folder.graph.values():
        if stage.name in gone or gone & set(stage.depends_on):
            gone.add(stage.name)
            stage_path(folder.path, stage.name).unlink()


def test_finished_sweep_is_over(folder):
    found = Watch(folder, Machine()).look()
    assert {one.state for one in found.stages} == {"done"}
    assert found.over
    assert not found.at_work
    assert found.seconds_left == 0.0
    trainings = {stage.name for stage in found.stages if stage.kind in ("pretrain", "finetune")}
    assert set(found.losses) == trainings >= {"pretrain seed=0", TUNE}
    assert state_line(found).endswith("stages are done: the sweep has ended")


def test_running_stage_shows_how_far_it_is(folder):
    undo(folder, TUNE)
    log(folder.path, "start", TUNE)
    stage_path(folder.path, TUNE, ".progress").write_text("30 40 RMSE 4.20 HU")
    watch = Watch(folder, Machine())
    lock = lock_folder(folder.path)
    try:
        assert is_at_work(folder.path)
        found = watch.look()
    finally:
        lock.release()
    one = next(stage for stage in found.stages if stage.name == TUNE)
    assert (one.state, one.share, one.detail) == ("running", 0.75, "RMSE 4.20 HU")
    assert one.seconds < 1.0  # a third of what it has run for, which is no time
    waiting = [stage for stage in found.stages if stage.state == "to do"]
    assert {"evaluate lambda=0.9 seed=0", "results"} <= {stage.name for stage in waiting}
    assert not found.over
    assert found.seconds_left > 0.0
    page = write_watch(folder.path, "tiny", found, every_s=7).read_text(encoding="utf-8")
    assert '<noscript><meta http-equiv="refresh" content="7"></noscript>' in page
    assert 'data-every="7"' in page
    assert "75 %" in page
    assert re.search(r"1 running; about .* are left", state_line(found))


def test_time_left_follows_the_pace_of_the_stages_that_ended(folder):
    undo(folder, "evaluate lambda=0.9 seed=0")
    watch = Watch(folder, Machine())
    # What is planned for every stage is known here: a second each.
    watch.planned = {name: replace(one, seconds=1.0) for name, one in watch.planned.items()}
    found = watch.look()
    done = [one.seconds for one in found.stages if one.kind == "evaluate" and one.state == "done"]
    todo = [one for one in found.stages if one.state == "to do"]
    pace = sum(done) / len(done) if sum(done) > 0 else 1.0
    wanted = [
        replace(watch.planned[one.name], done=False, seconds=pace if one.kind == "evaluate" else 1.0) for one in todo
    ]
    assert found.seconds_left == pytest.approx(
        timetable([replace(one, depends_on=()) for one in wanted], workers=1).seconds, rel=1e-6
    )


def test_nobody_at_work_ends_the_watch(folder, call):
    undo(folder, TUNE)
    log(folder.path, "start", TUNE)  # killed since
    found = Watch(folder, Machine()).look()
    assert found.over
    assert next(stage for stage in found.stages if stage.name == TUNE).state == "to do"
    code, out, err = call("watch", folder.path)  # ends by itself
    assert code == 0, err
    assert "nobody works in this folder; the same command goes on" in out
    page = (folder.path / "watch.html").read_text(encoding="utf-8")
    assert 'http-equiv="refresh"' not in page


def test_a_failed_training_leaves_out_what_builds_on_it(folder):
    undo(folder, TUNE)
    log(folder.path, "start", TUNE)
    log(folder.path, "failed", TUNE, problem="<b>the loss</b> is not finite")
    found = Watch(folder, Machine()).look()
    states = {stage.name: stage.state for stage in found.stages}
    assert states[TUNE] == "failed"
    assert states["evaluate lambda=0.9 seed=0"] == "left out"
    assert states["results"] == "to do"  # of what is there
    page = write_watch(folder.path, "tiny", found, every_s=5).read_text(encoding="utf-8")
    assert "&lt;b&gt;the loss" in page
    assert "1 failed" in page


def test_losses_are_read_while_they_are_written(tmp_path):
    file = tmp_path / "log.jsonl"
    assert read_losses(file) is None
    rows = [{"epoch": n, "rmse_hu": 5.0 - n, "validation_rmse_hu": None, "validation_task": 0.9} for n in range(3)]
    file.write_text("\n".join(map(json.dumps, rows)) + '\n{"epoch": 3, "rmse')
    found = read_losses(file)
    assert found.rmse_hu == [5.0, 4.0, 3.0]
    assert all(value != value for value in found.validation_rmse_hu)
    assert found.task == [0.9] * 3
    with file.open("a") as log_file:  # an epoch that was done again after a kill counts once
        log_file.write('_hu": 2.0}\n{"epoch": 3, "rmse_hu": 1.5}\n')
    assert read_losses(file).rmse_hu == [5.0, 4.0, 3.0, 1.5]


def test_one_look_writes_the_page(folder, call):
    start = time.monotonic()
    code, out, err = call("watch", folder.path, "--once")
    assert code == 0, err
    assert "the sweep has ended. Page: " in out
    assert (folder.path / "watch.html").is_file()
    assert time.monotonic() - start < 20


def test_what_is_no_run_is_refused(tmp_path, refused):
    assert "is not a run folder" in refused("watch", tmp_path)
