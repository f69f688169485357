"""`taskct read`: what it makes, prints and refuses."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Call, call, refused
from reading_studies import make_disc_study
from taskct.reading_room.folder import StudyFolder
from taskct.study.run_folder import RunFolder
from tiny_study import files_of, tiny_run

__all__ = ["call", "refused", "tiny_run"]

Refused = Callable[..., str]


def test_a_study_is_made_of_a_run(call: Call, tiny_run: RunFolder, tmp_path: Path) -> None:
    before = files_of(tiny_run.path)
    place = tmp_path / "study"
    text = tmp_path / "text.txt"
    text.write_text("Look for a\nbright disc.\n\nGuess where you see none.\n", encoding="utf-8")
    design = ("--design", "rating", "--scale", "5", "--readers", "Ann,Bo", "--cases", "10", "--training", "3")
    shown = ("--window", "50,200", "--fixed-window", "--break-every", "20", "--title", "Discs", "--instructions", text)
    arms = ("--arms", "low-dose,mse,lambda=0.90", "--device", "cpu", "--seed", "7")
    status, out, err = call("read", tiny_run.path, "--out", place, "--make-only", *arms, *design, *shown)
    assert status == 0, err
    assert "Arms: low-dose, mse, lambda=0.9\n" in out
    assert "Each of 2 readers: 3 training trials, then 30 (10 in each arm; rating, 5 points)" in out
    assert "Window: centre 50, width 200 HU (fixed); seed 7" in out
    assert files_of(tiny_run.path) == before
    study = StudyFolder.open(place)
    p = study.protocol
    assert (p.design, p.scale, p.n_trials, p.n_training, p.break_every, p.title) == ("rating", 5, 30, 3, 20, "Discs")
    assert p.instructions == ("Look for a bright disc.", "Guess where you see none.")
    assert (p.display.centre_hu, p.display.width_hu, p.display.adjustable) == (50.0, 200.0, False)
    assert list(study.links.readers) == ["Ann", "Bo"]
    assert not any(token in out + err for token in study.links.readers.values())  # printed when it is served
    again = tmp_path / "again"
    call("read", tiny_run.path, "--out", again, "--make-only", "--design", "rating", "--cases", "10", "--seed", "7")
    drawn = {trial.case for trial in StudyFolder.open(again).read_key().trials}
    assert drawn == {trial.case for trial in study.read_key().trials}


def test_nothing_that_readers_get_names_an_arm_or_a_truth(call: Call, tiny_run: RunFolder, tmp_path: Path) -> None:
    place = tmp_path / "study"
    call("read", tiny_run.path, "--out", place, "--make-only", "--arms", "low-dose,mse", "--cases", "8", "--seed", "1")
    for name in ("protocol.json", "order.json"):
        text = (place / name).read_text(encoding="utf-8")
        assert not any(word in text for word in ("low-dose", "mse", "present", "truth", "arm", "background", "tiny"))


def test_a_study_stands_beside_what_it_is_made_of(call: Call, tiny_run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tiny_run.path)
    status, _, err = call("read", tmp_path / "run", "--make-only", "--cases", "4", "--design", "rating")
    assert status == 0, err
    assert StudyFolder.open(tmp_path / "run-reading").protocol.n_trials == 12


def test_a_seed_is_drawn_and_kept(call: Call, tiny_run: RunFolder, tmp_path: Path) -> None:
    seeds = []
    for name in ("one", "other"):
        call("read", tiny_run.path, "--out", tmp_path / name, "--make-only", "--cases", "4", "--arms", "low-dose")
        seeds.append(json.loads((tmp_path / name / "study.json").read_text(encoding="utf-8"))["seed"])
    assert seeds[0] != seeds[1]


def test_what_cannot_be_done_is_one_line(refused: Refused, tiny_run: RunFolder, tmp_path: Path) -> None:
    run, study = tiny_run.path, make_disc_study(tmp_path / "study").path

    def new(*options: object) -> str:
        return refused("read", run, "--make-only", "--out", tmp_path / "new", *options)

    assert "no such folder; give a run folder" in refused("read", tmp_path / "nowhere")
    assert "is a reading study already: `taskct read" in refused("read", run, "--make-only", "--out", study)
    assert "exists: choose another --out" in refused("read", run, "--make-only", "--out", run)
    assert "is no run, no reading study and no folder of arms" in refused("read", tmp_path, "--make-only")
    assert "--arms is of a new study" in refused("read", study, "--arms", "mse")
    assert "--make-only is of a new study" in refused("read", study, "--make-only")
    assert "--margin goes with --results" in refused("read", study, "--margin", "0.1")
    assert "--json goes with --results" in refused("read", study, "--json")
    assert "--port does not go with --results" in refused("read", study, "--results", "--port", "80")
    assert "--port is for serving" in refused("read", run, "--make-only", "--port", "80", "--out", tmp_path / "new")
    assert "--pixel-mm is for a folder of images" in new("--pixel-mm", "1")
    assert "--window is 'wide'" in new("--window", "wide")
    assert "--readers is 0; give 1 to 200" in new("--readers", "0")
    assert "two readers are called 'Ann'" in new("--readers", "Ann,Ann")
    assert "a reader is called '<b>'" in new("--readers", "<b>")
    assert "--arms names none" in new("--arms", ",")
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    assert "holds no text" in new("--instructions", tmp_path / "empty.txt")
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == ["empty.txt", "study"]


def test_a_study_is_served_until_it_is_stopped(tmp_path: Path) -> None:
    study = make_disc_study(tmp_path / "study", readers=("Ann", "Bo"))
    command = [sys.executable, "-m", "taskct", "read", str(study.path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Serving until Ctrl-C"):
                break
        text = "".join(lines)
        links = dict(re.findall(r"^(\S+) +(http://127\.0\.0\.1:\d+/[ro]/[\w-]+/)$", text, re.MULTILINE))
        assert list(links) == ["Ann", "Bo", "organiser"], text
        assert all(links[name].split("/")[-2] == token for name, token in study.links.readers.items())
        with urllib.request.urlopen(links["Bo"] + "state") as reply:
            assert json.load(reply)["phase"] == "instructions"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert f"Stopped; every answer is kept. To serve it on: taskct read {study.path}" in out
    assert err == ""


@pytest.mark.parametrize("name", ["images.npy", "order.json"])
def test_a_study_that_was_changed_is_not_served(refused: Refused, tmp_path: Path, name: str) -> None:
    study = make_disc_study(tmp_path / "study")
    with (study.path / name).open("ab") as file:
        file.write(b" ")
    assert f"{name} has changed since the study was made" in refused("read", study.path, "--port", "0")
