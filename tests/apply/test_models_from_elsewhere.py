"""Models and cards that anybody may have written: one line for what is wrong, before memory is taken."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from anyway import denoise_path
from taskct.apply.denoise import denoise, load_denoiser
from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.denoiser import NETWORKS, Denoiser, make_network
from taskct.errors import UserError
from taskct.reading import LIMIT_VARIABLE
from taskct.training.checkpoints import read_shapes, save_weights

CARD: dict[str, Any] = {
    "network": "cnn",
    "arguments": {"n_layers": 2, "n_channels": 4},
    "dtype": "float32",
    "size_multiple": 1,
    "arm": "lambda=0.9",
    "seed": 0,
    "stage": "finetune",
    "pixel_mm": 0.7,
}
WEIGHT = "denoiser.network.layers.0.weight"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "m.safetensors"
    denoiser = Denoiser(ResidualCNN(n_layers=2, n_channels=4), offset_hu=40.0, scale_hu=20.0)
    save_weights(path, {"denoiser": denoiser}, CARD)
    return path


def changed(model: Path, **values: Any) -> None:
    model.with_suffix(".json").write_text(json.dumps({**CARD, **values}))


def stored(path: Path, tensors: dict[str, tuple[str, list[int], bytes]]) -> None:
    """A safetensors file whose header says these types and shapes."""
    header, data = {}, b""
    for name, (kind, shape, values) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def refusal(model: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_denoiser(model)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("network", value) for value in (None, 3, ["cnn"], {}, True)],
        *[("arguments", value) for value in (None, [], "n_layers", 3)],
        *[("dtype", value) for value in (None, "int4", 32, True, ["float32"])],
        *[("size_multiple", value) for value in (0, -4, 1.5, 65, 10**30, True, "8")],
        *[("arm", value) for value in (3, [], False)],
        *[("seed", value) for value in (-1, 0.5, True, "0", [0])],
        *[("stage", value) for value in (3, ["blend"])],
        *[("pixel_mm", value) for value in (0, -0.7, "0.7", True, [])],
        *[("alpha", value) for value in (-0.1, 1.5, "0.5", True, [0.5])],
        ("mse_validation_hu2", "12"),
    ],
)
def test_a_card_with_a_wrong_value(model: Path, key: str, value: object) -> None:
    changed(model, **{key: value})
    message = refusal(model)
    assert f"m.json is broken ({key}: " in message
    assert message.endswith("it must be the card that taskct wrote")


@pytest.mark.parametrize(("stage", "key"), [("blend", "alpha"), ("pretrain", "mse_validation_hu2")])
@pytest.mark.parametrize("how", [{}, {"alpha": None, "mse_validation_hu2": None}])
def test_a_card_that_lacks_what_its_stage_needs(model: Path, stage: str, key: str, how: dict[str, object]) -> None:
    changed(model, stage=stage, **how)
    assert f"{key} is missing" in refusal(model)


@pytest.mark.parametrize("text", ['{"a": NaN}', '{"a": ' * 5000, "[" * 5000, '{"network": "cnn"}', "\x00"])
def test_a_card_that_is_none(model: Path, text: str) -> None:
    model.with_suffix(".json").write_text(text)
    assert "m.json" in refusal(model)


@pytest.mark.parametrize("arm", ["", "a b", "lambda=x", "lambda=0.9 seed=x", "lambda=0.9 a=\x00", "../../x a"])
def test_an_arm_that_is_no_name(model: Path, arm: str) -> None:
    changed(model, arm=arm)
    with pytest.raises(UserError, match="control"):
        load_denoiser(model, 0.5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_layers": 10**9},
        {"n_channels": 10**40},
        {"n_layers": 1e300},
        {"n_layers": float("1e999")},
        {"dilations": [1] * 5000},
        {"dilations": [1, 10**7]},
        {"n_layers": 4096, "n_channels": 4096},  # 2.5 TB
    ],
)
def test_arguments_that_ask_for_too_much(monkeypatch: pytest.MonkeyPatch, arguments: dict[str, object]) -> None:
    """Refused by what they declare; nothing with values is made."""
    kinds: list[str] = []

    class Told(ResidualCNN):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            kinds.append(next(self.parameters()).device.type)

    monkeypatch.setitem(NETWORKS, "cnn", Told)
    with pytest.raises(UserError, match=r"too large: numbers go up to 4096|TiB of memory .*TASKCT_READ_LIMIT"):
        make_network("cnn", {"n_layers": 2, **arguments})
    assert set(kinds) <= {"meta"}


def test_a_network_within_the_budget_draws_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counting its memory first leaves the generator alone. 220 weights and biases of 4 bytes each fit into 1 kB."""
    torch.manual_seed(3)
    expected = ResidualCNN(n_layers=3, n_channels=4).state_dict()
    torch.manual_seed(3)
    monkeypatch.setenv(LIMIT_VARIABLE, "1kB")
    found = make_network("cnn", {"n_layers": 3, "n_channels": 4}).state_dict()
    assert sum(value.numel() for value in found.values()) == 4 * 9 + 4 + 4 * 4 * 9 + 4 + 4 * 9 + 1
    assert all(torch.equal(value, found[key]) for key, value in expected.items())
    with pytest.raises(UserError, match=r"denoiser.network 'cnn': would take .* over the limit"):
        make_network("cnn", {"n_layers": 3, "n_channels": 8})


@pytest.mark.parametrize("blend", [False, True])
def test_shapes_are_compared_before_a_network_is_made(
    model: Path, monkeypatch: pytest.MonkeyPatch, blend: bool
) -> None:
    changed(model, arguments={"n_layers": 4, "n_channels": 64}, **({"stage": "blend", "alpha": 0.5} if blend else {}))
    kinds: list[str] = []

    class Told(ResidualCNN):
        def __init__(self, **given: Any) -> None:
            super().__init__(**given)
            kinds.append(next(self.parameters()).device.type)

    monkeypatch.setitem(NETWORKS, "cnn", Told)
    monkeypatch.setattr("taskct.training.checkpoints.load_file", None)  # nor is any weight loaded
    assert "holds the weights of another network" in refusal(model)
    assert set(kinds) == {"meta"}


@pytest.mark.parametrize(
    ("kind", "n_bytes", "message"),
    [
        ("I32", 4, "for denoiser it has in another type network.layers.0.weight"),
        ("BOOL", 1, "for denoiser it has in another type network.layers.0.weight"),
        ("C64", 8, "as C64: weights must be one of F32"),
        ("F8_E4M3", 1, "as F8_E4M3: weights must be one of F32"),
        ("U64", 8, "as U64: weights must be one of F32"),
        ("WORD", 4, "cannot be read as safetensors"),
    ],
)
def test_weights_of_a_type_that_no_network_has(model: Path, kind: str, n_bytes: int, message: str) -> None:
    held = {name: ("F32", list(value.shape), value.numpy().tobytes()) for name, value in load_file(model).items()}
    stored(model, {**held, WEIGHT: (kind, [4, 1, 3, 3], bytes(36 * n_bytes))})
    assert message in refusal(model)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_other_floating_point_types_are_read(model: Path, dtype: torch.dtype) -> None:
    """Values that all types hold exactly, so the result is that of float32."""
    tensors = {name: (8 * value).round() / 8 for name, value in load_file(model).items()}
    image = np.random.default_rng(0).normal(40, 20, (20, 20)).astype(np.float32)
    save_file(tensors, model)
    expected = denoise(load_denoiser(model), image)
    save_file({name: value.to(dtype) for name, value in tensors.items()}, model)
    np.testing.assert_array_equal(denoise(load_denoiser(model), image), expected)


@pytest.mark.parametrize(
    ("shape", "n_bytes"), [([2**40, 2**20], 4), ([0, 2**62], 0), ([2**63], 0), ([-1], 4), ([2] * 80, 4)]
)
def test_shapes_that_no_tensor_has(model: Path, shape: list[int], n_bytes: int) -> None:
    stored(model, {WEIGHT: ("F32", shape, bytes(n_bytes))})
    assert "m.safetensors" in refusal(model)


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"[]",
        b"null",
        b'{"a": 3}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}',
        b'{"a":' * 3000,
    ],
)
@pytest.mark.parametrize("declared", [None, 2**62, 2**64 - 1, 0])
def test_headers_that_are_broken(model: Path, header: bytes, declared: int | None) -> None:
    n_bytes = len(header) if declared is None else declared
    model.write_bytes(struct.pack("<Q", n_bytes) + header + bytes(8))
    assert refusal(model).endswith("copy it again, or train this arm again")


def test_a_tensors_name_is_shown_short_and_without_control_characters(model: Path) -> None:
    held = {name: ("F32", list(value.shape), value.numpy().tobytes()) for name, value in load_file(model).items()}
    stored(model, {**held, "denoiser.\x1b[31m" + "n" * 5000: ("F32", [1], bytes(4))})
    message = refusal(model)
    assert "has besides" in message
    assert "\x1b" not in message


def test_weights_over_the_budget(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, "500")  # the file takes more
    with pytest.raises(UserError, match=f"would take .* over the limit of 500 bytes.*{LIMIT_VARIABLE}"):
        read_shapes(model)


@pytest.mark.parametrize(
    ("name", "value", "dtype", "message"),
    [
        ("denoiser.scale_hu", 0.0, torch.float32, "a scale (denoiser.scale_hu) that is not above 0 HU"),
        ("denoiser.scale_hu", -20.0, torch.float32, "a scale (denoiser.scale_hu) that is not above 0 HU"),
        ("denoiser.scale_hu", 1e-300, torch.float64, "a scale (denoiser.scale_hu) that is not above 0 HU"),
        ("denoiser.scale_hu", float("nan"), torch.float32, "not finite (denoiser.scale_hu)"),
        ("denoiser.scale_hu", float("inf"), torch.float32, "not finite (denoiser.scale_hu)"),
        ("denoiser.offset_hu", float("-inf"), torch.float32, "not finite (denoiser.offset_hu)"),
        (WEIGHT, 1e300, torch.float64, f"not finite ({WEIGHT})"),
    ],
)
def test_values_that_cannot_be_used(model: Path, name: str, value: float, dtype: torch.dtype, message: str) -> None:
    tensors = load_file(model)
    tensors[name] = torch.full_like(tensors[name], value, dtype=dtype)
    save_file(tensors, model)
    assert message in refusal(model)


@pytest.mark.parametrize("alpha", [None, 0.5])
def test_an_image_that_is_not_finite_is_not_written(model: Path, tmp_path: Path, alpha: float | None) -> None:
    """Weights that are finite each by itself, and too large for what is made of them."""
    tensors = {
        name: torch.full_like(value, 1e30) if ".weight" in name else value for name, value in load_file(model).items()
    }
    save_file(tensors, model)
    for end in (".safetensors", ".json"):
        (tmp_path / f"lambda=0_seed=0{end}").write_bytes(model.with_suffix(end).read_bytes())
    np.save(tmp_path / "in.npy", np.random.default_rng(0).normal(40, 20, (20, 20)))
    with pytest.raises(UserError, match=r"the denoiser returned NaN or infinity in \d+ of 400 pixels"):
        denoise_path(model, tmp_path / "in.npy", tmp_path / "out.npy", alpha=alpha)
    assert not (tmp_path / "out.npy").exists()


class Hungry(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        raise self.error


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8589934592 bytes."),
            " (8 GiB wanted)",
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0"), " (2.00 GiB wanted)"),
        (MemoryError("Unable to allocate 3.00 MiB for an array"), " (3.00 MiB wanted)"),
        (MemoryError(), ""),
    ],
)
@pytest.mark.parametrize("scaled", [False, True])
def test_memory_that_is_short(error: Exception, wanted: str, scaled: bool) -> None:
    network: nn.Module = Hungry(error)
    if scaled:
        network = Denoiser(network, offset_hu=0.0, scale_hu=1.0)
    with pytest.raises(UserError) as caught:
        denoise(network, np.zeros((40, 30), dtype=np.float32))
    assert str(caught.value).startswith(
        f"not enough memory on cpu to denoise slices of 40 x 30 pixels{wanted}: give --tile 256, or free memory"
    )
