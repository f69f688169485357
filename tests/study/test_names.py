"""Names of arms and files: written and read alike; file names bounded whatever the values, and one a name."""

import errno
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from taskct.denoisers.import_path import trust_network
from taskct.errors import UserError
from taskct.names import MAX_BYTES, ArmName, bounded, file_name, fitted_as, observer_of
from taskct.reading import read_npz
from taskct.study.arms import arms_of
from taskct.study.records import file_name as stage_file
from taskct.study.records import read_record, read_records, write_record
from taskct.study.run_folder import RunFolder
from taskct.sweep.executors import Machine
from taskct.sweep.pipeline import sweep
from taskct.training.checkpoints import load_state, load_tensors, read_card
from tiny_study import files_of, tiny_settings

LONGEST = ".last-good.safetensors.partial"


def test_ordinary_names_stay_as_they_were() -> None:
    assert (
        file_name("lambda=0.9 n_layers=9 trainable=last:1 seed=12") == "lambda=0.9_n_layers=9_trainable=last:1_seed=12"
    )
    assert stage_file("evaluate lambda=0.9 head=pixel+eye a_b/c%") == "evaluate_lambda=0.9_head=pixel+eye_a%5Fb%2Fc%25"
    name = "n" * MAX_BYTES
    assert bounded(name, name) == name


def random_names(n: int, seed: int) -> Iterator[ArmName]:
    """Arms of every kind, with the settings of a grid, with and without a seed."""
    rng = np.random.default_rng(seed)
    settings = ["n_layers", "trainable", "head", "arguments", "arguments.seed", "arguments.alpha", "loss"]
    values = ["9", "last:1", "eye", "{'a':[1,2]}", "", "a=b", "None", "*layers.4*", "层/λ"]

    def share() -> float:
        return float(rng.choice([0.0, 0.7, 0.95, 0.9500001, rng.uniform(), np.nextafter(0.9, 1)]))

    for _ in range(n):
        kind = rng.choice(["low-dose", "mse", "lambda", "blend", "filter", "path"])
        chosen = rng.choice(settings, size=rng.integers(0, 4), replace=False)
        yield ArmName(
            kind,
            share() if kind in ("lambda", "blend") else None,
            share() if kind == "blend" else None,
            str(rng.choice(["nlm", "tv", "bilateral"])) if kind == "filter" else None,
            tuple((str(name), str(rng.choice(values))) for name in chosen),
            None if rng.integers(2) else int(rng.integers(2**31)),
            share() if kind == "path" and rng.integers(2) else None,
        )


def test_a_name_is_read_as_it_was_written() -> None:
    names = list(random_names(2000, seed=0))
    for name in names:
        assert ArmName.parse(str(name)) == name
    assert len(set(map(str, names))) == len(set(names))


def test_the_names_of_a_study_are_read_as_its_arms() -> None:
    grid = {"denoiser.arguments": [{"n_layers": 3, "dilations": [1, 2]}], "training.trainable": ["all", "last:1"]}
    training = {"seeds": [0, 3], "other_head_lambda": 0.7}
    settings = tiny_settings(grid=grid, training=training | {"lambdas": [0, 0.7]}, denoiser={"classical": ["tv"]})
    for arm in arms_of(settings):
        assert ArmName.parse(str(arm.identity)) == arm.identity
        assert ArmName.parse(arm.name) == arm.identity.of_seed(None)
        assert str(ArmName.parse(arm.name).control) == arm.control
        assert ArmName.parse(arm.identity.quoted).seed == (arm.seed or None)


@pytest.mark.parametrize("text", ["", "lambda=high", "lambda=0.9 eye", "lambda=0.9 alpha=half", "mse seed=one"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        ArmName.parse(text)


def test_a_kind_has_its_own_numbers() -> None:
    with pytest.raises(ValueError, match="kind blend"):
        ArmName("blend", 0.9)


def test_the_seed_and_the_alpha_of_a_network_are_not_those_of_the_arm() -> None:
    """A network's argument `alpha` of 0.5 once had the name, and so the files, of the blend with α = 0.5."""
    settings = tiny_settings(grid={"denoiser.arguments.alpha": [0.5], "denoiser.arguments.seed": [0, 1]})
    arms = arms_of(settings)
    assert len({arm.file_stem for arm in arms}) == len(arms)
    assert "lambda=0.9 arguments.alpha=0.5 arguments.seed=1" in {arm.name for arm in arms}


def test_an_observer_has_one_name() -> None:
    for name in ("slnn_joint", "slnn", "ho_eye", "cho_lg"):
        assert observer_of(*fitted_as(name)) == name


@pytest.mark.parametrize("letter", ["n", "λ", "層", "%"])
def test_long_names_fit_a_file_system(letter: str, tmp_path: Path) -> None:
    names = [f"finetune {letter * 400} seed={seed}" for seed in range(3)] + [f"finetune {letter * 401} seed=0"]
    for make in (file_name, stage_file):
        made = [make(name) for name in names]
        assert len(set(made)) == len(names)  # they differ only where they were cut
        assert made == [make(name) for name in names]
        for name in made:
            assert len((name + LONGEST).encode()) <= 255
            (tmp_path / (name + LONGEST)).touch()


def test_names_that_a_file_system_takes_for_one_are_two_where_they_are_long() -> None:
    long = "v" * 300
    assert file_name(f"{long} a") != file_name(f"{long}_a")


def test_records_of_long_names_are_found_again(tmp_path: Path) -> None:
    names = [f"finetune pattern={'a_b/%' * 90} seed={seed}" for seed in range(2)]
    for name in names:
        assert read_record(tmp_path, name) is None
        write_record(tmp_path, name, {"key": name[-1], "finished": "now"})
    assert [read_record(tmp_path, name)["key"] for name in names] == ["0", "1"]  # type: ignore[index]
    assert list(read_records(tmp_path, names)) == names


NOTED = """
import torch
from torch import nn

class Noted(nn.Module):
    def __init__(self, note):
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, image):
        return image + self.layer(image)
"""


def test_a_grid_of_long_values_is_done_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value of 1,000 characters: once the record of its stage "was broken: put back a copy"."""
    (tmp_path / "noted_network.py").write_text(NOTED)
    monkeypatch.syspath_prepend(str(tmp_path))
    trust_network("noted_network.Noted")
    long = "layer/of_%20" * 90
    settings = tiny_settings(
        denoiser={"network": "noted_network.Noted", "arguments": {"note": "short"}},
        grid={"denoiser.arguments.note": [long]},
        training={"other_head_lambda": None, "blend_lambda": None},
    )
    assert any(len(arm.name) > 1000 for arm in arms_of(settings))
    run = RunFolder(tmp_path / "run", settings, device=torch.device("cpu"))
    parts = ["simulate", "train", "evaluate"]
    did = sweep(run, parts, Machine(threads=1)).did
    assert sum(long in name for name in did) == 6  # the pretrained one and two λ, trained and measured
    before = files_of(run.path)
    assert not sweep(RunFolder(run.path, None, device=torch.device("cpu")), parts, Machine(threads=1)).did
    assert files_of(run.path) == before
    assert max(len(part.encode()) for name in before for part in Path(name).parts) <= 255
    arms = {arm["name"] for arm in json.loads((run.path / "summary.json").read_text())["arms"]}
    assert any(long in name for name in arms)  # results have the whole name


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ENAMETOOLONG])
def test_what_the_machine_refuses_is_not_called_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Wherever a file of a run is read: the reason is the machine's, and nobody is told to delete the file."""
    words = {errno.EACCES: "Permission denied", errno.EIO: "Input/output error", errno.ENAMETOOLONG: "too long"}[number]

    def refuse(*args: object, **how: object) -> object:
        raise OSError(number, words)

    for name in ("m.safetensors", "m.json", "a.npz"):
        (tmp_path / name).touch()
    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr("taskct.training.checkpoints.load_file", refuse)
    monkeypatch.setattr("taskct.training.checkpoints.safe_open", refuse)
    monkeypatch.setattr("zipfile.ZipFile", refuse)
    for read, file in (
        (read_card, "m.safetensors"),
        (load_tensors, "m.safetensors"),
        (load_state, "m.safetensors"),
        (read_npz, "a.npz"),
    ):
        with pytest.raises(UserError, match=f"cannot be read: {words}; mend that") as caught:
            read(tmp_path / file)
        assert "delete" not in str(caught.value)
        assert "broken" not in str(caught.value)
