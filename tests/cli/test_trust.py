"""A network by its import path is code: no card and no run folder has it imported without the user's word."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import taskct
from command_line import Call, call, refused
from taskct.denoisers import import_path
from taskct.errors import UserError
from taskct.sweep.executors import do_stage
from tiny_study import tiny_yaml

__all__ = ["call", "refused"]  # fixtures

NETWORK = """
from pathlib import Path

import torch

Path(__file__).with_suffix(".ran").touch()


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, image):
        return image - self.layer(image)
"""
NAME = "a_strangers_module"
PATH = f"{NAME}.Net"

_imported: list[str] = []
_watching: list[bool] = []


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if event == "import" and _watching:
        _imported.append(str(arguments[0]))


sys.addaudithook(_hear)  # for as long as this process lasts, so it hears only while it is watched


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the module, and the study of it."""
    folder = tmp_path_factory.mktemp("stranger")
    (folder / f"{NAME}.py").write_text(NETWORK)
    tiny_yaml(
        folder / "study.yaml",
        denoiser={"network": PATH, "arguments": {}},
        training={"other_head_lambda": None, "blend_lambda": 0.9},
    )
    np.save(folder / "in.npy", np.random.default_rng(0).normal(40, 20, (20, 20)))
    return folder


@pytest.fixture
def run(place: Path, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A finished run of that study, as one comes from elsewhere: this process knows neither module nor word."""
    monkeypatch.syspath_prepend(str(place))
    if not (place / "run" / "report.html").exists():  # the user's own study works whole
        code, _, err = call("run", place / "study.yaml", "--out", place / "run", "--device", "cpu", "--workers", "1")
        assert code == 0, err
    shutil.copytree(place / "run", tmp_path / "run")
    forget(place)
    yield tmp_path / "run"
    forget(place)


def forget(place: Path) -> None:
    sys.modules.pop(NAME, None)
    import_path._trusted.clear()
    (place / f"{NAME}.ran").unlink(missing_ok=True)


def never_imported(place: Path, work: Callable[[], object]) -> None:
    _imported.clear()
    _watching.append(True)
    try:
        work()
    finally:
        _watching.clear()
    assert NAME not in {one.partition(".")[0] for one in _imported}
    assert NAME not in sys.modules
    assert not (place / f"{NAME}.ran").exists()


def test_the_ear_hears(place: Path, run: Path) -> None:
    """The check can fail."""
    with pytest.raises(AssertionError):
        never_imported(place, lambda: taskct.load_denoiser(a_model(run), trust=[PATH]))


def a_model(run: Path) -> Path:
    return run / "models" / "lambda=0.9_seed=0.safetensors"


def test_no_command_imports_what_a_file_names(
    place: Path, run: Path, refused: Callable[..., str], call: Call, tmp_path: Path
) -> None:
    model, word = a_model(run), f"--trust-network {PATH} "
    source, out = place / "in.npy", tmp_path / "out.npy"

    def refuses(*args: object) -> None:
        never_imported(place, lambda: seen.append(refused(*args)))
        assert word in seen[-1]

    seen: list[str] = []
    refuses("denoise", model, source, out)
    refuses("denoise", model, source, out, "--alpha", "0.5")
    refuses("denoise", model.with_suffix(".blend.safetensors"), source, out)
    refuses("denoise", model, source, out, "--trust-network", f"{NAME}.Other")
    assert not out.exists()
    refuses("run", "--out", run)
    refuses("run", "--out", run, "--dry-run")
    refuses("simulate", "--out", run, "--set", "training.seeds=[0, 1]")
    never_imported(place, lambda: call("report", run))
    for file in (run / "evaluated").glob("lambda=0.9_seed=0*"):
        file.unlink()
    refuses("evaluate", run, "--device", "cpu", "--workers", "1")
    model.unlink()
    refuses("train", run, "--device", "cpu", "--workers", "1")


def test_python_imports_nothing_either(place: Path, run: Path) -> None:
    def opened() -> None:
        with pytest.raises(UserError, match="is code from outside taskct"):
            taskct.open_run(run, device="cpu").arm("lambda=0.9").denoiser()
        with pytest.raises(UserError, match="is code from outside taskct"):
            do_stage(str(run), "pretrain seed=0", "cpu", 1)

    shutil.rmtree(run / "models")
    shutil.copytree(
        place / "run" / "models", run / "models", ignore=shutil.ignore_patterns("mse*0.json", "mse*.safetensors")
    )
    never_imported(place, opened)
    denoiser = taskct.open_run(run, device="cpu", trust=[PATH]).arm("lambda=0.9").denoiser()
    assert denoiser.card["network"] == PATH


def test_a_module_of_python_itself_is_not_imported(place: Path, run: Path) -> None:
    card = a_model(run).with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), "network": "wave.Wave_read", "size_multiple": None}))
    shutil.rmtree(run / "stages")  # a stranger's folder has no digests that would tell of the change
    sys.modules.pop("wave", None)
    with pytest.raises(UserError, match=r"--trust-network wave\.Wave_read"):
        taskct.load_denoiser(a_model(run))
    assert "wave" not in sys.modules


def test_with_the_users_word(place: Path, run: Path, call: Call, tmp_path: Path) -> None:
    word = ("--trust-network", PATH)
    code, _, err = call("denoise", a_model(run), place / "in.npy", tmp_path / "out.npy", "--anyway", *word)
    assert code == 0, err
    forget(place)
    assert call("run", "--out", run, "--dry-run", *word)[0] == 0
    forget(place)
    a_model(run).unlink()
    # The workers of a pool have it too.
    code, _, err = call("train", run, "--device", "cpu", "--workers", "2", *word)
    assert code == 0, err
    assert a_model(run).exists()
    forget(place)
    # The settings file is the user's word as well: the same command goes on.
    code, _, err = call("run", place / "study.yaml", "--out", run, "--device", "cpu", "--workers", "1")
    assert code == 0, err


@pytest.mark.parametrize("path", ["cnn", "a..b", "a.b; c", "a.\x1b[31mb", ""])
def test_a_word_for_no_path(refused: Callable[..., str], place: Path, path: str) -> None:
    line = refused("denoise", "m.safetensors", place / "in.npy", "out.npy", "--trust-network", path)
    assert "is no import path: trust a network by its whole path" in line
    assert "\x1b" not in line
