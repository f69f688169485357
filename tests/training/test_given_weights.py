"""Weights from elsewhere: what wraps them is left out, and what does not fit is one line."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from taskct.errors import UserError
from taskct.training.checkpoints import save_weights
from taskct.training.given_weights import read_given_weights


def network(n_channels: int = 4) -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, n_channels, 3, padding=1), nn.BatchNorm2d(n_channels), nn.Conv2d(n_channels, 1, 1)
    )


STATE = network().state_dict()


def under(prefix: str, state: dict[str, Any] = STATE) -> dict[str, Any]:
    return {prefix + key: value for key, value in state.items()}


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (STATE, ""),
        (OrderedDict(STATE), ""),
        ({"state_dict": STATE, "epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.ones(4)}}}}, "state_dict"),
        ({"model": under("module."), "args": {"lr": 1e-4}}, "model, module."),
        (under("_orig_mod."), ""),
        (under("module._orig_mod."), "module."),
        ({"state_dict": {**under("net."), "loss.weight": torch.ones(1)}, "hyper_parameters": {}}, "state_dict, net."),
        ({"a": {"b": {"params": under("g.")}}}, "a.b.params, g."),
        ({key: value for key, value in STATE.items() if "num_batches" not in key}, ""),
        ({key: value.double() if value.is_floating_point() else value for key, value in STATE.items()}, ""),
    ],
)
def test_a_checkpoint_is_looked_through(tmp_path: Path, content: Any, found: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    given = read_given_weights(tmp_path / "w.pt", network(), "net")
    assert given.found == found
    assert given.tensors.keys() == STATE.keys()
    fresh = network(4)
    fresh.load_state_dict(given.tensors)
    assert all(torch.equal(value, STATE[key]) for key, value in fresh.state_dict().items())


def test_safetensors_and_models_of_taskct(tmp_path: Path) -> None:
    save_file(under("module."), str(tmp_path / "w.safetensors"))
    given = read_given_weights(tmp_path / "w.safetensors", network(), "net")
    assert (given.found, given.offset_hu) == ("module.", None)
    parts = {"denoiser": nn.ModuleDict({"network": network()}), "head": nn.Linear(2, 1)}
    parts["denoiser"].register_buffer("offset_hu", torch.tensor(40.0))
    parts["denoiser"].register_buffer("scale_hu", torch.tensor(25.0))
    save_weights(tmp_path / "own.safetensors", parts, {})
    given = read_given_weights(tmp_path / "own.safetensors", network(), "net")
    assert (given.found, given.offset_hu, given.scale_hu) == ("denoiser.network.", 40.0, 25.0)
    both = {"control": parts["denoiser"], "correction": nn.Linear(2, 1)}
    save_weights(tmp_path / "path.safetensors", both, {})
    with pytest.raises(UserError, match="blend or a task path of several networks"):
        read_given_weights(tmp_path / "path.safetensors", network(), "net")


def changed(**values: torch.Tensor | None) -> dict[str, Any]:
    state = {**STATE, **{key.replace("_", ".", 1): value for key, value in values.items()}}
    return {key: value for key, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed(**{"2_bias": None}), r"it lacks 2\.bias; give the network and the denoiser\.arguments"),
        (changed(**{"2_bias": None, "2_weight": None}), r"it lacks 2\.weight \(and 1 more\)"),
        (changed(**{"3_weight": torch.ones(1)}), r"it has 3\.weight besides"),
        (
            network(8).state_dict(),
            r"its 0\.weight has the shape \(8, 1, 3, 3\), the network's \(4, 1, 3, 3\) \(and 6 m",
        ),
        (changed(**{"2_bias": torch.ones(1, dtype=torch.int32)}), r"its 2\.bias is of torch\.int32"),
        (changed(**{"2_bias": torch.full((1,), torch.nan)}), r"not finite \(2\.bias\)"),
        ({"params": STATE, "params_ema": dict(STATE)}, r"several networks that fit \(params and params_ema\)"),
        ({"epoch": 3}, "holds no tensors by name"),
        ([STATE], "holds no tensors by name"),
        (changed(**{"2_bias": torch.ones(1).to_sparse()}), "sparse, quantized or empty tensors"),
        (changed(**{"2_bias": torch.ones(1).expand(2**50)}), "over the limit"),
        (network(), "holds more than tensors, as a whole module does, which can run code and is never loaded"),
    ],
)
def test_what_does_not_fit_is_one_line(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(UserError, match=message) as refused:
        read_given_weights(tmp_path / "w.pt", network(), "net")
    assert "\n" not in str(refused.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        read_given_weights(tmp_path / "w.pt", network(), "net")
    (tmp_path / "w.pt").write_bytes(b"no weights")
    with pytest.raises(UserError, match="cannot be read as the weights of a network"):
        read_given_weights(tmp_path / "w.pt", network(), "net")
    torch.save(STATE, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"cannot be read .*save the state_dict"):
        read_given_weights(tmp_path / "old.pt", network(), "net")
    torch.save(STATE, tmp_path / "cut.pt")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "cut.pt").read_bytes()[:-40])
    with pytest.raises(UserError, match="cannot be read"):
        read_given_weights(tmp_path / "cut.pt", network(), "net")
