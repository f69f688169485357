"""The command line when the machine, the training or the user's patience fails: one line, and nothing is lost."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

import taskct.cli.run_folder
from command_line import Call, call, refused, study
from taskct.errors import UserError
from taskct.study.run_folder import RunFolder
from tiny_study import files_of, tiny_yaml

__all__ = ["call", "refused", "study"]  # fixtures

FULL = (
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded", "/somewhere"),
    OSError(errno.EFBIG, "File too large"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    OSError("100000 requested and 496 written"),  # numpy.save
)


def fail_with(monkeypatch: pytest.MonkeyPatch, name: str, error: BaseException) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(taskct.cli.run_folder, name, fail)


@pytest.mark.parametrize("error", FULL, ids=lambda error: str(error)[:30])
def test_a_full_disk(
    refused: Callable[..., str], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fail_with(monkeypatch, "sweep", error)
    line = refused("run", study, "--out", tmp_path / "run")
    assert line.startswith("taskct: the disk is full, or a quota is: make room and give the same command")
    wrapped = RuntimeError("a library's own words")
    wrapped.__cause__ = error
    fail_with(monkeypatch, "sweep", wrapped)
    assert refused("run", study, "--out", tmp_path / "run") == line


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ValueError("a bug"), OSError("a bug"), KeyError("a bug")])
def test_a_bug_is_not_hidden(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    fail_with(monkeypatch, "sweep", error)
    monkeypatch.setattr(sys, "argv", ["taskct", "run", str(study), "--out", str(tmp_path / "run")])
    with pytest.raises(type(error), match="a bug"):
        taskct.cli.main()


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from taskct.cli import main
main()
"""


def test_a_full_disk_for_real(tmp_path: Path) -> None:
    """No file may exceed some bytes: first the trials fail (EFBIG from Zarr), then the weights (safetensors' words)."""
    study = tiny_yaml(tmp_path / "tiny.yaml", denoiser={"arguments": {"n_layers": 2, "n_channels": 2000}})
    run = tmp_path / "run"

    def attempt(limit: int) -> list[str]:
        command = [sys.executable, "-c", LIMITED, str(limit), "run", str(study), "--out", str(run)]
        command += ["--device", "cpu", "--workers", "1"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        lines = done.stderr.splitlines()
        assert done.returncode == 2, done.stderr
        assert lines[-1].startswith("taskct: the disk is full")
        # Chunks that are written stay, for the run that goes on; nothing else does.
        rest = [name for name in files_of(run) if not name.startswith("trials.partial")]
        assert not [name for name in rest if "partial" in name or "tmp" in name]
        return lines[:-1]

    assert attempt(20_000) == []
    assert not (run / "trials").exists()
    assert [line.partition(":")[0] for line in attempt(100_000)] == ["simulate"]
    assert (run / "trials").is_dir()
    assert not list((run / "models").glob("*"))


def test_out_of_memory(
    refused: Callable[..., str], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, "sweep", MemoryError("Unable to allocate 1. TiB"))
    assert "out of memory (1. TiB wanted): lower the numbers in trials" in refused(
        "run", study, "--out", tmp_path / "run"
    )
    torch_says = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes. Error code 12"
    fail_with(monkeypatch, "sweep", RuntimeError(torch_says))
    assert "out of memory (4096 bytes wanted)" in refused("run", study, "--out", tmp_path / "run")


def test_a_folder_that_cannot_be_written(
    refused: Callable[..., str], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = refused("run", study, "--out", study / "run")  # below a file
    assert f"{study}" in line
    assert "choose a place where you may read and write" in line

    def forbidden(self: Path, *args: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", forbidden)
    line = refused("run", study, "--out", tmp_path / "run")
    assert line == f"taskct: {tmp_path / 'run'}: Permission denied; choose a place where you may read and write"


def test_ctrl_c(refused: Callable[..., str], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, "sweep", KeyboardInterrupt())
    line = refused("run", study, "--out", tmp_path / "run", status=130)
    assert line == "taskct: interrupted: finished stages stay; the same command goes on from there"


def test_ctrl_c_for_real(tmp_path: Path) -> None:
    study = tiny_yaml(tmp_path / "tiny.yaml", training={"pretrain_epochs": 5000})
    command = [sys.executable, "-m", "taskct", "run", str(study), "--out", str(tmp_path / "run"), "--device", "cpu"]

    def listen() -> None:
        # A test runner started in the background ignores Ctrl-C, and its children would too.
        signal.signal(signal.SIGINT, signal.default_int_handler)

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=listen) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        lines += process.stderr.read().splitlines()
    assert process.returncode == 130
    assert lines[0].startswith("simulate: ")
    assert lines[1:] == ["taskct: interrupted: finished stages stay; the same command goes on from there"]
    assert RunFolder(tmp_path / "run", None, device=torch.device("cpu")).provenance()["stages"].keys() == {"simulate"}


NAN = """
import torch
from torch import nn

class Failing(nn.Module):
    def __init__(self, *, n_good: int) -> None:
        super().__init__()
        self.gain, self.n_good, self.n_calls = nn.Parameter(torch.ones(())), n_good, 0

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.n_calls += self.training
        return image * self.gain * (1.0 if self.n_calls <= self.n_good else float("nan"))
"""


@pytest.mark.parametrize(
    ("n_good", "stage", "epoch", "step"), [(7, "pretrain mse", 3, 2), (12, "fine-tune lambda=0", 5, 1)]
)
def test_nan_in_training(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_good: int, stage: str, epoch: int, step: int
) -> None:
    """Each arm stops, says where, and keeps its last good weights; what does not build on it is done."""
    name = f"nan_{n_good}"
    (tmp_path / f"{name}.py").write_text(NAN)
    monkeypatch.syspath_prepend(str(tmp_path))
    study = tiny_yaml(
        tmp_path / "tiny.yaml",
        denoiser={"network": f"{name}.Failing", "arguments": {"n_good": n_good}},
        training={"pretrain_epochs": 4, "finetune_epochs": 8},
    )
    code, _, err = call("run", study, "--out", tmp_path / "run", "--device", "cpu", "--workers", "1")
    before = [line for line in err.splitlines() if not line.startswith("taskct: ")]
    told = err.splitlines()[len(before) :]
    assert code == 2
    assert len(told) == (1 if stage == "pretrain mse" else 4)  # every arm of this network
    where = f"taskct: {stage}, seed 0: the loss is not finite in epoch {epoch}, step {step} of 3; lower training."
    assert told[0].startswith(where)
    kept = Path(told[0].rpartition(" are in ")[2].partition(";")[0])
    assert kept.suffixes[-2:] == [".last-good", ".safetensors"]
    assert kept.stat().st_size > 0
    done = [line.partition(":")[0] for line in before]
    rest = (
        ["evaluate low-dose"]
        if stage == "pretrain mse"
        else ["pretrain seed=0", "evaluate low-dose", "evaluate mse seed=0"]
    )
    assert done == ["simulate", *rest]
    assert (tmp_path / "run" / "models" / "mse_seed=0.safetensors").exists() == (stage != "pretrain mse")


COLLAPSED = """
import torch
from torch import nn

class Collapsed(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value, self.add = value, nn.Parameter(torch.zeros(()))

    def forward(self, image):
        broken = 0.0 if self.training else self.value
        return image * 0.0 + self.add + broken
"""


def test_a_collapsed_denoiser(
    refused_after: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No traceback from an observer that finds nothing to see."""
    (tmp_path / "collapsed.py").write_text(COLLAPSED)
    monkeypatch.syspath_prepend(str(tmp_path))
    network = {"network": "collapsed.Collapsed", "arguments": {"value": 0.0}}
    study = tiny_yaml(tmp_path / "tiny.yaml", denoiser=network)
    line = refused_after("run", study, "--out", tmp_path / "run", "--device", "cpu", "--workers", "1")
    assert line.startswith("taskct: pretrain mse, seed 0: the denoiser has collapsed, its image is the same")
    assert "lower training.learning_rate (0.003) or change denoiser.network" in line
    assert not (tmp_path / "run" / "models" / "mse_seed=0.json").exists()


def test_a_head_that_cannot_be_started(
    refused_after: Callable[..., str], study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise UserError("the SLNN did not converge")

    monkeypatch.setattr("taskct.training.losses.slnn.SLNNLoss.start", fail)
    line = refused_after("run", study, "--out", tmp_path / "run", "--device", "cpu", "--workers", "1")
    assert line.startswith(
        "taskct: fine-tune lambda=0.9 head=eye, seed 0: the task cannot be started: the SLNN did not"
    )
    assert "training.pretrain_epochs" in line


@pytest.fixture
def refused_after(call: Call) -> Callable[..., str]:
    """The last line of a call that must end with status 2 after some stages."""

    def run(*args: object) -> str:
        code, _, stderr = call(*args)
        assert code == 2, stderr
        assert "Traceback" not in stderr
        return stderr.splitlines()[-1]

    return run


def test_a_note_when_padding_reaches_the_region(call: Call, study: Path, tmp_path: Path) -> None:
    args = ("simulate", study, "--out", tmp_path / "run", "--set", "denoiser.arguments.n_layers=3", "--device", "cpu")
    code, _, err = call(*args)
    assert code == 0
    assert err.splitlines()[0].startswith("note: the network reaches 3 pixels or more and trials.margin_pixels is 2")
