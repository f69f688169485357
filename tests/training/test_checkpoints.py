"""Weights and their cards: whole or not at all, and clear words for what is broken."""

import errno
from pathlib import Path

import pytest
import torch
from torch import nn

from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.denoiser import Denoiser
from taskct.errors import UserError
from taskct.files import write_text
from taskct.observers import SLNNHead
from taskct.training import checkpoints
from taskct.training.checkpoints import load_weights, read_card, save_weights

CARD = {"network": "cnn", "arguments": {"n_layers": 2}, "note": "λ = 0.9"}


def modules(*, seed: int) -> dict[str, nn.Module]:
    torch.manual_seed(seed)
    denoiser = Denoiser(ResidualCNN(n_layers=3, n_channels=4), offset_hu=40.0 + seed, scale_hu=20.0 + seed)
    head = SLNNHead((6, 5), offset_hu=seed, scale_hu=10.0 + seed)
    nn.init.normal_(head.weight)
    return {"denoiser": denoiser, "head": head}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "lambda=0.9_seed=0.safetensors"
    save_weights(path, modules(seed=1), CARD)
    return path


def state(of: dict[str, nn.Module]) -> dict[str, torch.Tensor]:
    return {f"{name}.{key}": value for name, module in of.items() for key, value in module.state_dict().items()}


def test_round_trip(saved: Path) -> None:
    loaded = modules(seed=2)
    load_weights(saved, loaded)
    expected, found = state(modules(seed=1)), state(loaded)
    assert list(expected) == list(found)
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert read_card(saved) == CARD
    assert sorted(file.name for file in saved.parent.iterdir()) == [saved.with_suffix(".json").name, saved.name]


def test_one_module_of_several(saved: Path) -> None:
    denoiser = modules(seed=2)["denoiser"]
    load_weights(saved, {"denoiser": denoiser})
    expected = modules(seed=1)["denoiser"].state_dict()
    assert all(torch.equal(expected[key], value) for key, value in denoiser.state_dict().items())


@pytest.mark.parametrize("gone", [".safetensors", ".json"])
def test_a_model_without_its_weights_or_card(saved: Path, gone: str) -> None:
    saved.with_suffix(gone).unlink()
    with pytest.raises(UserError, match=r"no model .*weights .* and a card"):
        read_card(saved)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe"])
def test_a_broken_card(saved: Path, content: bytes) -> None:
    saved.with_suffix(".json").write_bytes(content)
    with pytest.raises(
        UserError, match=r"\.json(: cannot be read as a model\'s card| is not a model card|: the text is UTF-16)"
    ):
        read_card(saved)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_weights_cut_short(saved: Path, keep: int) -> None:
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        load_weights(saved, modules(seed=2))


def test_weights_that_are_gone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.safetensors cannot be read: no such file; mend"):
        load_weights(tmp_path / "none.safetensors", modules(seed=2))


def test_weights_of_another_network(saved: Path) -> None:
    wide = Denoiser(ResidualCNN(n_layers=3, n_channels=5), offset_hu=0.0, scale_hu=1.0)
    deep = Denoiser(ResidualCNN(n_layers=4, n_channels=4), offset_hu=0.0, scale_hu=1.0)
    flat = Denoiser(ResidualCNN(n_layers=2, n_channels=4), offset_hu=0.0, scale_hu=1.0)
    for other in (wide, deep, flat):
        with pytest.raises(UserError, match="weights of another network: for denoiser it") as caught:
            load_weights(saved, {"denoiser": other})
        assert "\n" not in str(caught.value)


def test_a_failed_save_keeps_what_was_there(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def half(tensors: object, path: str, metadata: object) -> None:
        Path(path).write_bytes(before[:100])
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(checkpoints, "save_file", half)
    with pytest.raises(OSError, match="No space"):
        save_weights(saved, modules(seed=3), {})
    assert saved.read_bytes() == before
    assert read_card(saved) == CARD
    assert len(list(saved.parent.iterdir())) == 2


def test_a_failed_text_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "a.json"
    write_text(file, "old λ")

    def fail(self: Path, target: Path) -> None:
        raise OSError(errno.EIO, "I/O error")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="I/O error"):
        write_text(file, "new")
    assert file.read_text(encoding="utf-8") == "old λ"
    assert [entry.name for entry in file.parent.iterdir()] == ["a.json"]


def test_weights_that_are_not_finite_are_refused(tmp_path):
    module = torch.nn.Linear(2, 1)
    with torch.no_grad():
        module.weight[0, 0] = float("nan")
    save_weights(tmp_path / "a.safetensors", {"denoiser": module}, {})
    with pytest.raises(UserError, match="not finite"):
        load_weights(tmp_path / "a.safetensors", {"denoiser": module})
