"""`taskct run --each`: a run for each combination, going on where it stopped, and curves of them."""

import json

import numpy as np
import pytest
import typer
import yaml

from command_line import call, refused, study
from taskct.cli.each import do_each
from taskct.cli.run_folder import Asked
from taskct.errors import UserError
from taskct.report import load_run
from taskct.study.run_folder import RunFolder
from taskct.sweep.schedule import Outcome
from taskct.trials.store import read_trials
from tiny_study import files_of

__all__ = ["call", "refused", "study"]  # fixtures

MACHINE = ("--device", "cpu", "--workers", "1")
QUICK = ("--set", "training.method=none", "--set", "denoiser.classical=[bilateral]")
DOSES = "scanner.dose_fraction=0.2,1"


@pytest.mark.slow
def test_runs_of_each_dose_go_on_where_they_stopped_and_make_curves(call, study, tmp_path, monkeypatch):
    out = tmp_path / "runs"
    args = ("run", study, "--out", out, *QUICK, *MACHINE, "--each")
    begun, do = [], RunFolder.run_stage

    def stop_in_second(self, *given, **named):
        begun.append(self.path.name)
        if self.path.name == "dose_fraction=1" and begun.count(self.path.name) == 2:
            raise KeyboardInterrupt
        return do(self, *given, **named)

    monkeypatch.setattr(RunFolder, "run_stage", stop_in_second)
    assert call(*args, DOSES)[0] != 0
    monkeypatch.undo()
    first = files_of(out / "dose_fraction=0.2")
    assert b"" not in (first[name] for name in ("scores.csv", "summary.json", "report.html"))
    assert not (out / "dose_fraction=1" / "scores.csv").exists()
    code, said, err = call(*args, DOSES)
    assert code == 0, err
    assert "Run 2 of 2: dose_fraction=1" in said
    assert "Runs: 2 in" in said
    after = files_of(out / "dose_fraction=0.2")
    assert {name for name in after if after[name] != first.get(name)} <= {"report.html"}
    assert {path.name for path in out.iterdir()} == {"dose_fraction=0.2", "dose_fraction=1"}
    for fraction in (0.2, 1):
        settings = yaml.safe_load((out / f"dose_fraction={fraction}" / "study.yaml").read_text())
        assert settings["scanner"]["dose_fraction"] == fraction
        assert settings["training"]["method"] == "none"
    # One trial has one background and one signal at all doses, and noise of its own.
    few, many = (read_trials(out / name / "trials", "test") for name in ("dose_fraction=0.2", "dose_fraction=1"))
    assert np.array_equal(few.reference, many.reference)
    assert np.array_equal(few.signal_present, many.signal_present)
    noise = [one.noisy - one.reference for one in (few, many)]
    assert 1.5 < noise[0].std() / noise[1].std() < 3.5  # √5 = 2.24, and noise of the readout
    # The runs are those that separate commands make: the same seed, the same draw of trials.
    alone = tmp_path / "alone"
    assert call("run", study, "--out", alone, *QUICK, *MACHINE, "--set", "scanner.dose_fraction=1")[0] == 0
    assert (alone / "scores.csv").read_bytes() == (out / "dose_fraction=1" / "scores.csv").read_bytes()
    code, _, err = call("curves", *sorted(out.iterdir()), "--out", tmp_path / "curves")
    assert code == 0, err
    content = json.loads((tmp_path / "curves" / "curves.json").read_text())
    assert {(one["reconstruction"], one["dose"]) for one in content["points"]} == {
        (name, dose)
        for name in {arm.label for arm in load_run(out / "dose_fraction=1").summary.arms}
        for dose in (20, 100)
    }


def test_dry_run_plans_every_combination_and_writes_nothing(call, study, tmp_path):
    out = tmp_path / "runs"
    contrasts = "signal.contrast_hu=[7,7],[10,14]"
    code, said, err = call(
        "run", study, "--out", out, *MACHINE, "--each", DOSES, "--each", contrasts, "--dry-run", "--summary"
    )
    assert code == 0, err
    heads = [line.partition(": ")[2] for line in said.splitlines() if line.startswith("Run ")]
    assert heads == [f"dose_fraction={dose},contrast_hu={hu}" for dose in ("0.2", "1") for hu in ("7", "10_14")]
    assert "Runs: 4, one after the other: about" in said
    assert not out.exists()


def test_a_combination_that_cannot_be_done_is_refused_before_the_first_is_begun(refused, study, tmp_path):
    out = tmp_path / "runs"
    args = ("run", study, "--out", out, *MACHINE)
    for each, message in (
        (["scanner.dose_fraction=0.2,2"], "scanner.dose_fraction is 2"),
        (["scanner.dose=0.2"], "unknown setting scanner.dose: did you mean"),
        (["scanner=1"], "scanner is a section"),
        (["signal.contrast_hu=7,14"], "Give a list in brackets, as [lowest, highest]".lower()),
        (["scanner.dose_fraction"], "write section.name=value,value"),
        (["denoiser.network=cnn,nothing.Here"], "nothing"),
    ):
        assert message in refused(*args, *(word for text in each for word in ("--each", text))), each
    assert "--set and --each both give scanner.n_views" in refused(
        *args, "--set", "scanner.n_views=24", "--each", "scanner.n_views=20,24"
    )
    assert "--seed and --each both give seed" in refused(*args, "--seed", "3", "--each", "seed=1,2")
    assert "give a settings file or --preset" in refused("run", "--out", out, "--each", DOSES)
    (tmp_path / "study.yaml").write_bytes(study.read_bytes())
    assert "--each makes several in it" in refused("run", study, "--out", tmp_path, "--each", DOSES)
    assert f"{study} is no folder" in refused("run", study, "--out", study, "--each", DOSES)
    assert not out.exists()


def test_a_folder_that_holds_another_study_is_refused_before_the_first_is_begun(refused, study, tmp_path):
    other = tmp_path / "runs" / "dose_fraction=1"
    other.mkdir(parents=True)
    (other / "notes.txt").write_text("mine")
    line = refused("run", study, "--out", tmp_path / "runs", *MACHINE, "--each", DOSES)
    assert "dose_fraction=1 exists and is not a run folder" in line
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["dose_fraction=1"]


def test_what_goes_wrong_is_told_with_its_run_and_others_are_done(study, tmp_path, capsys):
    out, done = tmp_path / "runs", []

    def do(folder):
        done.append(folder.path.name)
        return Outcome(failed={"pretrain": "the training diverged"} if folder.settings.seed == 1 else {})

    with pytest.raises(typer.Exit) as stop:
        do_each(out, Asked(study, None, (), None, "cpu"), ["seed=1,2"], do)
    assert stop.value.exit_code == 2
    assert done == ["seed=1", "seed=2"]
    said = capsys.readouterr()
    assert [line for line in said.err.splitlines() if not line.startswith("note")] == [
        "taskct: seed=1: the training diverged"
    ]
    assert "Runs: 2 in" in said.out

    def cannot(folder):
        raise UserError(f"{folder.settings.seed} trials are too few")

    with pytest.raises(UserError, match=r"^seed=1: 1 trials are too few$"):
        do_each(out, Asked(study, None, (), None, "cpu"), ["seed=1,2"], cannot)
