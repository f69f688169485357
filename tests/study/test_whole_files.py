"""A finished run whose files were changed, are links or pipes, or cannot be written: one line, no harm."""

import contextlib
import errno
import os
import re
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import Call, call, refused
from dicom_files import save_series
from taskct import load_denoiser, open_run
from taskct.errors import UserError
from taskct.report import write_report
from taskct.study.run_folder import RunFolder
from tiny_study import files_of, tiny_run, tiny_settings, tiny_yaml

__all__ = ["call", "refused", "tiny_run"]

Refused = Callable[..., str]

ARM = "lambda=0.9_seed=0"


@pytest.fixture
def run(tiny_run: RunFolder, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return shutil.copytree(tiny_run.path, tmp_path / "run")


@pytest.fixture
def in_time() -> Iterator[None]:
    """Ends a test that waits for a pipe."""

    def late(*_: object) -> None:
        raise TimeoutError("waited for a pipe")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def flip(file: Path) -> None:
    """Flip the lowest bit of a byte: in text the last digit of a fraction, else in the middle, which is data."""
    data = bytearray(file.read_bytes())
    place = len(data) // 2
    if file.suffix in (".json", ".csv"):
        place = [match.end() - 1 for match in re.finditer(rb"\d\.\d+", data)][-1]
    data[place] ^= 1
    file.write_bytes(data)


def remove(run: Path, *names: str) -> None:
    """Take results away, so that a command has something to do."""
    for name in names:
        for file in run.glob(name):
            file.unlink()


SPOILT = {
    "trials, opened": ("trials/test/noisy.npy", (), lambda run: open_run(run).trials("test")),
    "trials, an arm's images": ("trials/test/reference.npy", (), lambda run: open_run(run).arm("mse").images()),
    "weights, loaded": (f"models/{ARM}.safetensors", (), lambda run: load_denoiser(run / f"models/{ARM}.safetensors")),
    "card, loaded": (f"models/{ARM}.json", (), lambda run: load_denoiser(run / f"models/{ARM}.safetensors")),
    "a control, blended with": (
        "models/lambda=0_seed=0.safetensors",
        (),
        lambda run: load_denoiser(run / f"models/{ARM}.safetensors", 0.5),
    ),
    "a blend, loaded": (
        f"models/{ARM}.blend.safetensors",
        (),
        lambda run: load_denoiser(run / f"models/{ARM}.blend.safetensors"),
    ),
    "weights, of an opened run": (
        f"models/{ARM}.safetensors",
        (),
        lambda run: open_run(run).arm("lambda=0.9").images(),
    ),
    "summary, reported": ("summary.json", (), write_report),
    "scores, reported": ("scores.csv", (), write_report),
    "examples, reported": ("examples.npz", (), write_report),
    "scores, of an opened run": ("scores.csv", (), lambda run: open_run(run).scores),
    "quality, of an opened run": ("quality.csv", (), lambda run: open_run(run).quality),
    "summary, of an opened run": ("summary.json", (), lambda run: open_run(run).summary),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_flipped_bit_is_refused_by_the_file_s_name(run: Path, case: str) -> None:
    name, _, read = SPOILT[case]
    read(run)
    flip(run / name)
    with pytest.raises(UserError, match=f"{re.escape(name)}:? ") as caught:
        read(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "removed", "command"),
    [
        ("trials/test/noisy.npy", ["summary.json", f"evaluated/{ARM}.npz"], "evaluate"),
        ("trials/train/noisy.npy", [f"models/{ARM}.safetensors"], "train"),
        (f"models/{ARM}.safetensors", [f"evaluated/{ARM}.npz"], "evaluate"),
        ("models/mse_seed=0.safetensors", [f"models/{ARM}.safetensors"], "train"),
        (f"evaluated/{ARM}.npz", ["summary.json"], "evaluate"),
        (f"evaluated/{ARM}.json", ["summary.json"], "evaluate"),
        ("summary.json", [], "report"),
        ("scores.csv", [], "report"),
    ],
)
def test_a_command_refuses_a_flipped_bit_and_its_advice_leads_on(
    run: Path, call: Call, refused: Refused, name: str, removed: list[str], command: str
) -> None:
    flip(run / name)
    remove(run, *removed)
    told = refused(command, run)
    assert name in told
    assert "delete it" in told
    remove(run, name)
    before = (run / "scores.csv").read_bytes() if name != "scores.csv" else None
    assert call("run", "--out", run, "--device", "cpu")[0] == 0
    assert call(command, run)[0] == 0
    assert before is None or (run / "scores.csv").read_bytes() == before  # done anew, and the same


def test_the_denoise_command_refuses_changed_weights(run: Path, call: Call, refused: Refused, tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", np.zeros((16, 16), np.float32))
    weights = run / "models" / f"{ARM}.safetensors"
    command = ("denoise", weights, tmp_path / "image.npy", tmp_path / "out.npy", "--device", "cpu")
    assert call(*command)[0] == 0
    remove(tmp_path, "out.npy")
    flip(weights)
    assert f"{weights} has changed since it was trained" in refused(*command)
    assert not (tmp_path / "out.npy").exists()


def test_weights_apart_from_their_run_are_loaded(run: Path, tmp_path: Path) -> None:
    """There is no record to hold them against."""
    (tmp_path / "models").mkdir()
    for end in (".safetensors", ".json"):
        shutil.copy(run / "models" / f"{ARM}{end}", tmp_path / "models")
    load_denoiser(tmp_path / "models" / f"{ARM}.safetensors")


def outside(tmp_path: Path, run: Path, name: str) -> Path:
    """Put what is in a run elsewhere, with a link in its place."""
    place = tmp_path / "elsewhere" / Path(name).name
    place.parent.mkdir(exist_ok=True)
    if (run / name).exists():
        (run / name).rename(place)
    else:
        place.mkdir()
    (run / name).symlink_to(place)
    return place.parent


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *(
            ("run", name)
            for name in ("stages", "models", "evaluated", "stages/log.jsonl", "run.lock", "figures", "logs")
        ),
        *(("train", name) for name in ("stages", "models", "training")),
        *(("evaluate", name) for name in ("stages", "evaluated")),
    ],
)
def test_nothing_is_written_through_a_link(
    run: Path, refused: Refused, tmp_path: Path, command: str, name: str
) -> None:
    place = outside(tmp_path, run, name)
    remove(run, "summary.json", f"models/{ARM}.json", "evaluated/*.npz")
    before = files_of(place)
    arguments = ("--out", run) if command == "run" else (run,)
    told = refused(command, *arguments, "--device", "cpu")
    assert f"{run / name} is a link" in told
    assert files_of(place) == before


@pytest.mark.parametrize(
    "name", ["run.lock", "study.yaml", "stages/log.jsonl", "study.yaml.partial", "run.lock.partial"]
)
def test_a_link_to_nowhere_is_not_filled(refused: Refused, tmp_path: Path, name: str) -> None:
    run, study = tmp_path / "run", tiny_yaml(tmp_path / "tiny.yaml")
    (run / name).parent.mkdir(parents=True)
    (run / name).symlink_to(tmp_path / "made")
    refused("run", study, "--out", run, "--device", "cpu")
    assert not (tmp_path / "made").exists()


def test_a_page_that_is_a_link_is_replaced(run: Path, call: Call, tmp_path: Path) -> None:
    place = outside(tmp_path, run, "report.html")
    (place / "report.html").write_text("mine")
    assert call("report", run)[0] == 0
    assert (place / "report.html").read_text() == "mine"
    assert not (run / "report.html").is_symlink()


def test_trials_that_are_a_link_are_read(run: Path, call: Call, tmp_path: Path) -> None:
    place = outside(tmp_path, run, "trials")
    before = files_of(place)
    remove(run, "report.html", "summary.json", f"evaluated/{ARM}.npz")
    assert len(open_run(run).trials("test")) == 40
    for command in (("evaluate", run, "--device", "cpu"), ("report", run), ("run", "--out", run, "--device", "cpu")):
        assert call(*command)[0] == 0
    assert files_of(place) == before
    flip(place / "trials" / "test" / "noisy.npy")
    with pytest.raises(UserError, match=r"trials/test/noisy\.npy has changed"):
        open_run(run).trials("test")


def test_leftovers_of_a_kill_are_removed_and_nothing_else(run: Path, call: Call) -> None:
    left = [run / f"{name}.{'0f' * 8}.partial" for name in ("summary.json", "models/a.json", "stages/a.json")]
    kept = [run / "mine.partial", run / "models" / "a.0f.partial"]
    folder = run / "imported" / f".box.{'0f' * 8}.partial"
    folder.mkdir(parents=True)
    left.append(folder / "test.npy")
    for file in (*left, *kept):
        file.write_text("cut sh")
    remove(run, "summary.json")
    assert call("run", "--out", run, "--device", "cpu")[0] == 0
    assert not any(file.exists() for file in (*left, folder))
    assert all(file.exists() for file in kept)


@pytest.mark.usefixtures("in_time")
@pytest.mark.parametrize(
    "name",
    [
        "study.yaml",
        "summary.json",
        "scores.csv",
        "examples.npz",
        "provenance.json",
        "stages/simulate.json",
        "stages/log.jsonl",
        f"models/{ARM}.json",
        f"models/{ARM}.safetensors",
        f"evaluated/{ARM}.npz",
        "trials/test/noisy.npy",
        "run.lock",
    ],
)
def test_a_pipe_is_not_waited_for(run: Path, call: Call, name: str) -> None:
    remove(run, name, "choices.json")  # the results are to do
    os.mkfifo(run / name)
    for command in (("run", "--out", run), ("train", run), ("report", run)):
        code, _, told = call(*command)
        assert code in (0, 2), told
        assert code == 0 or (len(told.splitlines()) == 1 and "Traceback" not in told), told
    code, _, told = call("evaluate", run)
    if name == "provenance.json":  # made of the records, and so anew
        assert (run / name).is_file()
        return
    assert code == 2
    assert str(run / name) in told or name == "study.yaml", told
    for read in (
        lambda: open_run(run).results,
        lambda: load_denoiser(run / f"models/{ARM}.safetensors"),
        lambda: open_run(run).trials("test"),
    ):
        with contextlib.suppress(UserError):
            read()


@pytest.fixture
def read_only(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run on a disk that cannot be written: what makes or opens a file for it fails as the system does."""

    def guarded(call: Callable[..., object]) -> Callable[..., object]:
        def instead(path: object, *args: object, **named: object) -> object:
            writes = call is not real_open or (args and int(str(args[0])) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
            if writes and str(path).startswith(str(run)):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return call(path, *args, **named)

        return instead

    real_open = os.open
    for name in ("open", "mkdir", "unlink", "rename", "replace"):
        monkeypatch.setattr(os, name, guarded(getattr(os, name)))
    return run


def test_a_finished_run_on_a_read_only_disk(read_only: Path, call: Call, refused: Refused) -> None:
    for command in ("train", "evaluate"):
        code, out, told = call(command, read_only, "--device", "cpu")
        assert (code, told) == (0, ""), told
        assert str(read_only) in out
    for command in (("report", read_only), ("run", "--out", read_only, "--device", "cpu")):
        assert "Read-only file system" in refused(*command)
    assert len(open_run(read_only).trials("test")) == 40
    assert open_run(read_only).results.summary.arms


def test_an_unfinished_run_on_a_read_only_disk(run: Path, refused: Refused, request: pytest.FixtureRequest) -> None:
    remove(run, "summary.json", f"evaluated/{ARM}.npz", f"models/{ARM}.json")
    request.getfixturevalue("read_only")
    for command in (("train", run), ("evaluate", run), ("run", "--out", run)):
        told = refused(*command, "--device", "cpu")
        assert f"{run} cannot be written: Read-only file system" in told
    other = ("--set", "evaluation.n_bootstrap=200")
    assert "Read-only file system" in refused("run", "--out", run, *other, "--device", "cpu")


IDENTIFYING = {
    "PatientName": "Zq01Secret^Jane",
    "PatientID": "ZQ02SECRET",
    "PatientBirthDate": "19470311",
    "OtherPatientIDs": "ZQ03SECRET",
    "PatientAddress": "ZQ04SECRET",
    "PatientTelephoneNumbers": "ZQ05SECRET",
    "PatientComments": "ZQ06SECRET",
    "PatientMotherBirthName": "Zq07Secret^Jane",
    "IssuerOfPatientID": "ZQ08SECRET",
    "MedicalRecordLocator": "ZQ09SECRET",
    "AdditionalPatientHistory": "ZQ10SECRET",
    "AccessionNumber": "ZQ11SECRET",
    "InstitutionName": "ZQ12SECRET",
    "InstitutionAddress": "ZQ13SECRET",
    "ReferringPhysicianName": "Zq14Secret^Jane",
    "PerformingPhysicianName": "Zq15Secret^Jane",
    "OperatorsName": "Zq16Secret^Jane",
    "StudyID": "ZQ17SECRET",
    "StudyDescription": "ZQ18SECRET",
    "SeriesDescription": "ZQ19SECRET",
    "StudyInstanceUID": "1.2.826.0.1.947311.20",
    "SeriesInstanceUID": "1.2.826.0.1.947311.21",
    "FrameOfReferenceUID": "1.2.826.0.1.947311.22",
}


def assert_no_identifier(text: bytes, where: object) -> None:
    lowered = text.lower()
    for keyword, value in IDENTIFYING.items():
        for part in (value, *value.split("^")[:1]):
            assert part.lower().encode() not in lowered, f"{keyword} in {where}"
            assert part.lower().encode("utf-16-le") not in lowered, f"{keyword} in {where}"


def test_no_identifier_of_a_series_reaches_a_run(call: Call, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    axis = (np.arange(64) - 31.5) * 5
    noise = np.random.default_rng(0).normal(0, 20, (64, 64))
    disc = np.where(np.hypot(axis[None, :], axis[:, None]) < 90, 1044 + noise, 24).astype(np.uint16)
    series = save_series(tmp_path / "ct", n=12, stored=disc, PixelSpacing=[5.0, 5.0], **IDENTIFYING)
    background = {"kind": "series", "path": str(series), "region_hu": [-2000, 4000], "shift_mm": 0}
    study = tiny_yaml(tmp_path / "tiny.yaml", background=background)
    command = ("run", study, "--out", tmp_path / "run", "--device", "cpu")
    code, out, told = call(*command)
    assert code == 0, told
    assert_no_identifier((out + told + caplog.text).encode(), "messages")
    for name, content in files_of(tmp_path / "run").items():
        assert_no_identifier(name.encode() + content, name)
        if name.endswith(".npz"):
            with zipfile.ZipFile(tmp_path / "run" / name) as archive:
                for member in archive.namelist():
                    assert_no_identifier(member.encode() + archive.read(member), name)
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    # Nor are they in what is said of a series that is not taken.
    save_series(series, n=1, stored=disc[:32], PixelSpacing=[5.0, 5.0], **IDENTIFYING)
    for spoil in ({}, {"PixelSpacing": [-5.0, 5.0]}, {"ImagePositionPatient": [0, 0, "1e400"]}, {"Rows": 7}):
        save_series(series, n=1, **{"stored": disc[:32], "PixelSpacing": [5.0, 5.0], **IDENTIFYING, **spoil})
        code, out, told = call("run", study, "--out", tmp_path / "other", "--device", "cpu")
        assert code == 2, spoil
        assert len(told.splitlines()) == 1
        assert_no_identifier((out + told + caplog.text).encode(), spoil)


def test_digests_are_of_every_file(tiny_run: RunFolder) -> None:
    record = tiny_run.provenance()["stages"]["simulate"]
    trials = {file.relative_to(tiny_run.path).as_posix() for file in tiny_run.trials.rglob("*") if file.is_file()}
    assert set(record["digests"]) == trials
    assert all(re.fullmatch("[0-9a-f]{32}", digest) for digest in record["digests"].values())
    assert (
        RunFolder(tiny_run.path, tiny_settings(training={"seeds": [0, 1]}), device=torch.device("cpu")).change is None
    )
