"""The command line: help, what it prints, and one clear line for every mistake of a user."""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch

from command_line import Call, call, refused, study
from dicom_files import save_series
from taskct import __version__
from taskct.config import dotted_settings, make_settings, range_of
from taskct.config.yaml_files import read_yaml
from taskct.io.dicom import read_series
from taskct.simulation.simulate import simulate
from taskct.study.run_folder import RunFolder
from tiny_study import files_of, tiny_run, tiny_settings

__all__ = ["call", "refused", "study", "tiny_run"]  # fixtures

DATA = Path(pydicom.__file__).parent / "data" / "test_files"
CT, MR = DATA / "CT_small.dcm", DATA / "MR_small.dcm"

COMMANDS = ("run", "simulate", "train", "evaluate", "report", "denoise", "export-model", "config")


@pytest.mark.parametrize("args", [[], ["--help"]])
def test_help_names_every_command(call: Call, args: list[str]) -> None:
    _, out, err = call(*args)
    for command in COMMANDS:
        assert re.search(rf"^  {command} +\w", out + err, re.MULTILINE)
    assert "taskct run --preset demo" in out + err


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(call: Call, command: str) -> None:
    code, out, _ = call(command, "--help")
    assert code == 0
    assert out.startswith(f"Usage: taskct {command}")
    lines = out.splitlines()
    assert max(len(line) for line in lines) <= 80
    options = [line for line in lines if line.lstrip().startswith("--")]
    assert all(len(line.split()) > 1 for line in options)  # each says what it does, here or on the next line


def test_version(call: Call) -> None:
    assert call("--version") == (0, f"taskct {__version__}\n", "")


def test_config_prints_every_setting(call: Call) -> None:
    code, out, err = call("config", "--set", "scanner.dose_fraction=0.5")
    assert (code, err) == (0, "")
    for name, field in dotted_settings():
        line = next(line for line in out.splitlines() if line.startswith(name + " "))
        assert str(field.description).split(";")[0].split(",")[0][:40] in line
    assert re.search(r"^scanner\.dose_fraction +0\.5 +.*\(0, 1\]", out, re.MULTILINE)
    assert re.search(r"^background\.lump_hu +[\d.]+ HU +.*\[0, 500\]", out, re.MULTILINE)
    assert re.search(r"^scanner\.filter +\w.*ram-lak \| shepp-logan", out, re.MULTILINE)


def test_config_of_one_setting_a_group_and_a_word(call: Call, refused: Callable[..., str], study: Path) -> None:
    code, out, _ = call("config", "dose_fraction", "--set", "scanner.dose_fraction=0.5")
    assert code == 0
    assert [line.split() for line in out.splitlines()] == [
        ["scanner.dose_fraction"],
        ["value", "0.5"],
        ["default", "0.25"],
        ["range", "(0,", "1]"],
        ["meaning", *["dose", "relative", "to", "full", "dose"]],
    ]
    assert "unit     kV" in call("config", "scanner.kvp")[1]
    idle = call("config", "scanner.noise_hu", "--set", "scanner.noise_hu=20")[1]
    assert "scanner.noise_hu has no effect with this scanner.exposure" in idle
    # A group, of a file's values.
    names = [name for name, _ in dotted_settings() if name.startswith("trials.")]
    shown = call("config", study, "trials")[1].splitlines()
    assert [line.split()[0] for line in shown[1:]] == names
    assert re.search(r"^trials\.n_train +48 ", "\n".join(shown), re.MULTILINE)
    # A word: in the name, the meaning or the unit, in capitals or not.
    lines = call("config", "--filter", "DOSE")[1].splitlines()[1:]
    found = [line.split()[0] for line in lines if not line.startswith(" ")]
    wanted = [n for n, f in dotted_settings() if "dose" in (n + str(f.description)).lower() or "dose" in range_of(f)]
    assert found == wanted
    assert len(wanted) > 3
    assert "no setting or group 'n_viws': did you mean scanner.n_views?" in refused("config", "n_viws")
    assert "no setting mentions it" in refused("config", "--filter", "qqq")
    assert "leave NAME and --filter out" in refused("config", "trials", "--yaml")
    assert "2 settings files: give one" in refused("config", study, study)


def test_config_prints_a_file_to_start_from(call: Call, tmp_path: Path, study: Path) -> None:
    _, out, _ = call("config", study, "--yaml", "--set", "seed=4")
    (tmp_path / "printed.yaml").write_text(out)
    assert make_settings(read_yaml(tmp_path / "printed.yaml")) == tiny_settings(seed=4)


def test_simulate_says_where_and_whether_it_was_done_before(call: Call, study: Path, tmp_path: Path) -> None:
    first = call("simulate", study, "--out", tmp_path / "run", "--seed", "3", "--device", "cpu")
    assert (first[0], first[1]) == (0, f"Trials: {tmp_path / 'run' / 'trials'}\n")
    assert re.fullmatch(r"simulate: \d+\.\d s\n", first[2])  # no terminal: a line for each stage that is done
    again = call("simulate", study, "--out", tmp_path / "run", "--set", "seed=3", "--device", "cpu")
    assert again == (0, f"Trials: {tmp_path / 'run' / 'trials'} (done before)\n", "")


def test_a_log_gets_a_line_for_every_stage(call: Call, study: Path, tmp_path: Path) -> None:
    code, _, err = call("run", study, "--out", tmp_path / "run", "--device", "cpu", "--workers", "1")
    assert code == 0
    titles = [line.rpartition(": ")[0] for line in err.splitlines()]
    assert titles[:2] == ["simulate", "pretrain seed=0"]
    assert titles[2:4] == ["finetune lambda=0 seed=0", "finetune lambda=0.9 seed=0"]
    assert titles[6:9] == ["blend lambda=0.9 seed=0", "evaluate low-dose", "evaluate mse seed=0"]
    assert titles[-2:] == ["evaluate lambda=0.9 alpha=0.5 seed=0", "results"]
    assert all(re.fullmatch(r"\d+\.\d s", line.rpartition(": ")[2]) for line in err.splitlines())


def test_a_narrow_terminal_shows_whole_numbers(study: Path, tmp_path: Path) -> None:
    """80 columns: every finished stage reads "TITLE ... 100% in M:SS DETAIL", nothing cut off."""
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "taskct", "run", str(study), "--out", str(tmp_path / "run")]
    command += ["--device", "cpu", "--workers", "1"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=slave, env=environment) as process:
        os.close(slave)
        shown = b""
        while select.select([master], [], [], 60)[0]:
            try:
                part = os.read(master, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(master)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    lines = [line.rstrip() for line in text.replace("\r", "\n").split("\n") if "100%" in line]
    done = {title.strip(): rest for title, rest in (re.split(r" +━", line, maxsplit=1) for line in lines)}
    assert process.returncode == 0
    assert len(done) == 15
    for title, rest in done.items():
        assert "…" not in title + rest, (title, rest)
        assert re.search(r"100% in \d+:\d\d( |$)", rest), rest
    assert re.search(r"RMSE \d+\.\d\d HU$", done["finetune lambda=0.9 seed=0"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "scanner.dose_fracton=0.5",
            "unknown setting scanner.dose_fracton: did you mean scanner.dose_fraction? `taskct config` lists them all",
        ),
        (
            "scanner.dose_fraction=2",
            "scanner.dose_fraction is 2: input should be less than or equal to 1 (allowed: (0, 1])",
        ),
        ("background.lump_hu=-3", "(allowed: [0, 500] HU)"),
        ("scanner.n_views=many", "scanner.n_views is 'many': input should be a valid integer"),
        ("scanner.n_views", "write section.name=value"),
        ("training.lambdas=[0", "the value is not YAML"),
        ("denoiser.network=vnet", "denoiser.network 'vnet' is unknown: use cnn"),
        ("denoiser.arguments.depth=3", "denoiser.arguments do not fit cnn"),
        ("training.trainable=decoder", "training.trainable 'decoder' leaves nothing to train"),
        ("background.kind=series", "background.path is not set"),
    ],
)
def test_a_wrong_setting(refused: Callable[..., str], study: Path, tmp_path: Path, override: str, message: str) -> None:
    assert message in refused("run", study, "--out", tmp_path / "run", "--set", override, "--device", "cpu")
    assert not (tmp_path / "run" / "trials").exists()


def test_which_study(refused: Callable[..., str], study: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert "say which study: a settings file, --preset with one of context, demo" in refused("run", "--out", out)
    assert "say which study" in refused("simulate", "--out", out)
    assert "not both" in refused("run", study, "--preset", "smoke", "--out", out)
    assert "no preset 'dmo': choose one of context, demo" in refused("run", "--preset", "dmo", "--out", out)
    assert "none.yaml cannot be read" in refused("run", tmp_path / "none.yaml", "--out", out)
    assert "cannot be read" in refused("run", tmp_path, "--out", out)
    study.write_text("scanner: [1,\n")
    assert "is not valid YAML at line 2" in refused("run", study, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run"], "run: missing option '--out'; `taskct run --help` lists what it takes"),
        (["run", "--out"], "option '--out' requires an argument; `taskct"),
        (["trian"], "no such command 'trian'"),
        (["--sed"], "no such option: --sed"),
        (["run", "--sed", "3"], "run: no such option: --sed"),
        (["denoise", "a", "b"], "denoise: missing argument 'OUT'; `taskct denoise --help`"),
        (["run", "--out", "x", "--workers", "0"], "run: invalid value for '--workers': "),
        (["run", "--out", "x", "--progress", "dots"], "'dots' is not one of 'plain', 'bar', 'none'"),
        (["run", "--out", "x", "--summary"], "--summary is of a plan: give it with --dry-run"),
    ],
)
def test_wrong_usage_is_one_line(refused: Callable[..., str], args: list[str], message: str) -> None:
    assert message in refused(*args)


def test_an_empty_settings_file_is_the_demo_and_says_so(call: Call, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    code, out, err = call("config", tmp_path / "empty.yaml", "name")
    assert code == 0
    assert out.splitlines()[1].split() == ["value", "demo"]
    assert (
        err
        == f"note: {tmp_path / 'empty.yaml'} holds no settings: all are those of the demo, unless --set changes them\n"
    )


@pytest.mark.parametrize("command", ["train", "evaluate", "report"])
def test_a_folder_that_is_no_run(refused: Callable[..., str], tmp_path: Path, command: str) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    for folder in (tmp_path / "none", tmp_path, tmp_path / "mine.txt"):
        assert str(folder) in refused(command, folder)
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.txt"]


def test_a_stage_before_its_time(refused: Callable[..., str], call: Call, study: Path, tmp_path: Path) -> None:
    RunFolder(tmp_path / "run", tiny_settings(), device=torch.device("cpu"))
    assert "`taskct simulate`" in refused("train", tmp_path / "run", "--workers", "1")
    call("simulate", study, "--out", tmp_path / "run", "--device", "cpu")
    assert "`taskct train`" in call("evaluate", tmp_path / "run", "--device", "cpu", "--workers", "1")[2]
    assert "taskct evaluate" in refused("report", tmp_path / "run")


def test_old_models_are_not_measured_on_new_trials(
    refused: Callable[..., str], call: Call, study: Path, tiny_run: RunFolder, tmp_path: Path
) -> None:
    """As after an update: every key is another version's, and only the trials are made anew."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run.path, run)
    for file in (run / "stages").glob("*.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "key": "old"}))
    args = ("simulate", study, "--out", run, "--set", "training.seeds=[0,1]", "--device", "cpu")
    assert "done before" not in call(*args)[1]
    call("evaluate", run, "--device", "cpu", "--workers", "1")  # the low-dose images need no model
    line = call("evaluate", run, "--device", "cpu", "--workers", "1")[2]
    assert line.startswith("taskct: ")
    assert "the stage 'pretrain seed=0' is out of date" in line
    assert "`taskct train`" in line


def test_another_study_in_the_folder(refused: Callable[..., str], tiny_run: RunFolder, study: Path) -> None:
    before = files_of(tiny_run.path)
    args = ("run", study, "--out", tiny_run.path, "--set", "training.seeds=[0,1]")
    line = refused(*args, "--set", "scanner.dose_fraction=0.5")
    assert (
        "holds another study (scanner.dose_fraction 0.25 → 0.5), and these settings would do the trials, 2 pre" in line
    )
    assert "choose another --out folder" in line
    assert "(seed 0 → 9)" in refused(*args, "--seed", "9")
    assert files_of(tiny_run.path) == before


def test_a_finished_run_takes_a_seed_more_by_its_folder_alone(call: Call, tiny_run: RunFolder, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(tiny_run.path, run)
    common = ("--out", run, "--set", "training.seeds=[0,1,2]", "--device", "cpu", "--workers", "1")
    code, out, err = call("run", *common, "--dry-run", "--summary")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()[:7]] == [
        ["kind", "stages", "done"],
        ["simulate", "1", "1"],
        ["pretrain", "3", "2"],
        ["finetune", "12", "8"],
        ["blend", "3", "2"],
        ["evaluate", "19", "13"],
        ["results", "1", "0"],
    ]
    assert err.startswith(
        "note: the study of this folder changes: training.seeds [0, 1] → [0, 1, 2]; what else is done"
    )
    assert files_of(run) == files_of(tiny_run.path)
    code, _, err = call("run", *common)
    assert code == 0
    done = [line.partition(":")[0] for line in err.splitlines() if not line.startswith("note: ")]
    assert done[0] == "pretrain seed=2"
    assert all(name.endswith("seed=2") for name in done[:-1])
    assert done[-1] == "results"
    assert call("run", "--out", run, "--device", "cpu", "--workers", "1")[2] == ""  # all of it is done
    code, out, _ = call("run", "--out", run, "--device", "cpu", "--workers", "1", "--dry-run", "--summary")
    assert code == 0
    assert "All 39 stages are done: nothing is left to do" in out


def test_something_else_in_the_folder(refused: Callable[..., str], study: Path, tmp_path: Path) -> None:
    before = study.read_bytes()
    assert "exists and is not a run folder" in refused("run", study, "--out", tmp_path)
    assert "exists and is not a run folder" in refused("run", study, "--out", study)
    assert study.read_bytes() == before


@pytest.mark.parametrize("name", ["study.yaml", "stages/pretrain_seed=0.json", "models/mse_seed=0.json", "scores.csv"])
@pytest.mark.parametrize("content", ["", "{ half", "[1, 2]"])
def test_a_spoilt_file_of_a_run(call: Call, tiny_run: RunFolder, tmp_path: Path, name: str, content: str) -> None:
    run = tmp_path / "run"
    for file, data in files_of(tiny_run.path).items():
        (run / file).parent.mkdir(parents=True, exist_ok=True)
        (run / file).write_bytes(data)
    (run / name).write_text(content)
    if name.startswith("models"):  # a stage that is not done any more: what builds on it cannot be measured
        (run / "evaluated" / "mse_seed=0.json").unlink()
    command = ("report", run) if name == "scores.csv" else ("evaluate", run, "--workers", "1")
    assert Path(name).name in call(*command)[2].splitlines()[-1]
    assert (run / name).read_text() == content


def test_no_cuda(refused: Callable[..., str], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = refused("run", study, "--out", tmp_path / "run", "--device", "cuda")
    assert "--device cuda: torch sees no CUDA device here; use --device cpu or auto" in line
    assert "choose auto, cpu or cuda" in refused("run", study, "--out", tmp_path / "run", "--device", "gpu")
    assert not (tmp_path / "run").exists()


# --- CT that cannot be used


def ct(path: Path, **changed: Any) -> None:
    dataset = pydicom.dcmread(CT)
    for keyword, value in changed.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


def cut_short(folder: Path) -> None:
    (folder / "a.dcm").write_bytes(CT.read_bytes()[:-5000])


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda folder: (folder / "notes.txt").write_text("no CT"), "no CT slice in 1 files"),
        (lambda folder: None, "no CT slice in 0 files"),
        (lambda folder: folder.rmdir(), "does not exist; give a folder with a CT series"),
        (lambda folder: (folder / "a.dcm").write_bytes(MR.read_bytes()), "MR images and no CT"),
        (lambda folder: [ct(folder / "a"), ct(folder / "b", SeriesInstanceUID="1.2.3")], "2 series, of 1, 1 slices"),
        (cut_short, "a.dcm: cannot be read as a DICOM file (cut short"),
        (lambda folder: ct(folder / "a"), "1 slices or patients cannot fill 4 splits"),
    ],
)
def test_ct_that_cannot_be_used(
    refused: Callable[..., str], study: Path, tmp_path: Path, fill: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "ct"
    folder.mkdir()
    fill(folder)
    args = ("run", study, "--out", tmp_path / "run", "--set", "background.kind=series", "--device", "cpu")
    assert message in refused(*args, "--set", f"background.path={folder}")
    assert not (tmp_path / "run" / "trials").exists()
    # The mistake is mended in the same run folder: another folder is read, not refused as another study.
    assert "elsewhere: does not exist" in refused(*args, "--set", f"background.path={tmp_path / 'elsewhere'}")


# --- denoise


def test_denoise(call: Call, tiny_run: RunFolder, tmp_path: Path) -> None:
    model = tiny_run.weights("lambda=0_seed=0")
    for shape in ((20, 24), (3, 20, 24)):
        np.save(tmp_path / "in.npy", np.random.default_rng(0).normal(40, 20, shape))
        out = tmp_path / f"out{len(shape)}.npy"
        asked = ("denoise", model, tmp_path / "in.npy", out, "--device", "cpu", "--anyway")
        assert call(*asked)[:2] == (0, f"Denoised: {out}\n")
        assert np.load(out).shape == shape
    blend = ("denoise", tiny_run.weights("lambda=0.9_seed=0"), tmp_path / "in.npy", tmp_path / "blend.npy")
    assert call(*blend, "--alpha", "0.5", "--device", "cpu", "--anyway")[0] == 0
    assert call("denoise", model, CT, tmp_path / "dicom", "--device", "cpu", "--anyway")[0] == 0
    (one,) = (tmp_path / "dicom").iterdir()
    # A slice gives a slice where a file is named.
    code, said, _ = call("denoise", model, CT, tmp_path / "x.dcm", "--device", "cpu", "--anyway")
    assert (code, said) == (0, f"Denoised: {tmp_path / 'x.dcm'}\n")
    written = pydicom.dcmread(tmp_path / "x.dcm")
    assert np.array_equal(written.pixel_array, pydicom.dcmread(one).pixel_array)
    assert not list(tmp_path.glob(".*.partial"))


def test_denoise_refuses(refused: Callable[..., str], tiny_run: RunFolder, tmp_path: Path) -> None:
    model = tiny_run.weights("mse_seed=0")
    np.save(tmp_path / "in.npy", np.zeros((20, 20)))
    np.save(tmp_path / "there.npy", np.zeros((20, 20)))
    (tmp_path / "there.dcm").write_bytes(b"mine")
    for args, message in (
        ((model, tmp_path / "in.npy", tmp_path / "there.npy"), "exists: choose another output"),
        ((model, MR, tmp_path / "out"), "modality MR"),
        ((model, tmp_path / "none", tmp_path / "out"), "does not exist"),
        ((tmp_path / "none.safetensors", CT, tmp_path / "out"), "no model"),
        ((model, CT, tmp_path / "out", "--alpha", "1.5"), "alpha is 1.5: give the task's share"),
        ((tmp_path / "in.npy", CT, tmp_path / "out"), "no model"),
        ((model, square_series(tmp_path / "ct"), tmp_path / "y.dcm"), "a series needs a folder"),
        ((model, CT, tmp_path / "there.dcm"), "exists: choose another output"),
    ):
        assert message in refused("denoise", *args)
    assert not (tmp_path / "out").exists()


# --- preview and lower dose


def test_preview_is_a_page_of_trials_with_their_truth(call: Call, study: Path, tmp_path: Path) -> None:
    page = tmp_path / "preview.html"
    status, said, _ = call("preview", study, "--out", page, "--trials", "2", "--device", "cpu")
    assert (status, said) == (0, f"Preview: {page}\n")
    text = page.read_text()
    settings = make_settings(read_yaml(study))
    trials = simulate(settings)["test"]
    groups = [np.flatnonzero(group) for group in (trials.signal_present, ~trials.signal_present)]
    shown = [k for group in groups for k in (group[0], group[-1])]  # two of each, as far apart as can be
    for k in shown:  # the very trials of the study
        for shown_as in (f"{trials.truth['contrast_hu'][k]:+.0f}", f"{trials.truth['x_mm'][k]:.1f}"):
            assert f"<td>{shown_as.replace('-', '−')}</td>" in text
    assert text.count("<td>H1</td>") == text.count("<td>H0</td>") == 2
    assert text.count("data:image") == 3
    assert "://" not in re.sub(r"data:image[^\"]*", "", text)
    assert list(tmp_path.glob("*.partial")) == []


def square_series(folder: Path) -> Path:
    axis = np.arange(64) - 31.5
    disc = np.where(np.hypot(axis[None, :], axis[:, None]) < 26, 40, -1000).astype(np.int16)
    tags = {"RescaleSlope": 1, "RescaleIntercept": 0, "PixelSpacing": [4.0, 4.0]}
    return save_series(folder, n=6, stored=disc, **tags)


def test_lower_dose_adds_the_missing_noise(call: Call, tmp_path: Path) -> None:
    source, out = square_series(tmp_path / "ct"), tmp_path / "low"
    status = call("lower-dose", source, out, "--dose-fraction", "0.25", "--noise-hu", "10", "--device", "cpu")[0]
    assert status == 0
    added = read_series(out).image_hu - read_series(source).image_hu
    middle = added[:, 28:36, 28:36]
    # √(1/0.25 − 1) · 10 HU; 6 slices of some 40 independent pixels scatter by 5 %: four standard errors, and the
    # readout noise adds a little.
    assert middle.std() == pytest.approx(np.sqrt(3) * 10, rel=0.2)
    assert abs(middle.mean()) < 4
    assert "simulated" in pydicom.dcmread(next(out.iterdir())).SeriesDescription
    one = next(source.iterdir())
    args = ("--dose-fraction", "0.25", "--noise-hu", "10", "--device", "cpu")
    assert call("lower-dose", one, tmp_path / "one.dcm", *args)[0] == 0
    assert pydicom.dcmread(tmp_path / "one.dcm").Rows == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--dose-fraction", "1.5", "--noise-hu", "10"), "in (0, 1)"),
        (("--dose-fraction", "0.5", "--noise-hu", "-1"), "wanted noise is -1"),
        (("--dose-fraction", "0.5", "--noise-hu", "10", "--model", "x"), "choose one of ge-lightspeed"),
        (("--dose-fraction", "0.5", "--noise-hu", "10", "--kernel", "x"), "choose one of soft"),
    ],
)
def test_lower_dose_refuses(
    refused: Callable[..., str], tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    source = square_series(tmp_path / "ct")
    assert message in refused("lower-dose", source, tmp_path / "low", *options, "--device", "cpu")
    assert not (tmp_path / "low").exists()


def test_an_object_outside_the_field_of_view_is_a_note(study: Path, tmp_path: Path) -> None:
    narrow = ("--set", "scanner.n_bins=30", "--device", "cpu", "--workers", "1")
    command = [sys.executable, "-m", "taskct", "simulate", study, "--out", tmp_path / "run", *narrow]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True)
    notes = [line for line in done.stderr.splitlines() if line.startswith("note: ")]
    assert len(notes) == 1
    assert re.match(r"note: \d+\.\d% of the attenuation of an object lies outside the field of view", notes[0])
