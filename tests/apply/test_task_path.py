"""The dial of a task path in a user's hand: files, Python, the command line, and what a stranger's card may say."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import torch

import taskct
from anyway import denoise_path
from command_line import Call, call, refused
from path_files import CARD, SQUARE, save_task_path, task_path
from taskct.apply.denoise import denoise, load_denoiser
from taskct.denoisers.blend import Blend
from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.denoiser import Denoiser
from taskct.denoisers.prices import PRICE, read_price
from taskct.errors import UserError
from taskct.training.checkpoints import save_weights
from taskct.trials.trials import crop
from tiny_study import path_run

__all__ = ["call", "path_run", "refused"]  # fixtures

CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_task_path(tmp_path / "models" / "path_seed=0.safetensors")


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(40, 20, (3, 24, 31)).astype(np.float32)


def by_hand(images: np.ndarray, price: float) -> np.ndarray:
    """f₀ + a·Δ, with a from the quadratic of the mean squared error."""
    path, noisy = task_path(), torch.from_numpy(images)
    excess = SQUARE.control * ((1 + price) ** 2 - 1)
    strength = max(np.roots([SQUARE.energy, SQUARE.mixed, -excess]).real) if price else 0.0
    with torch.no_grad():
        control = path.control(noisy)
        return np.asarray(control + strength * path.correction(noisy, control))


@pytest.mark.parametrize("price", [0.005, 0.02, 0.2])
def test_the_price_sets_the_strength(model: Path, images: np.ndarray, price: float) -> None:
    denoiser = load_denoiser(model, price=price)
    assert denoiser.price == price
    np.testing.assert_allclose(denoise(denoiser, images), by_hand(images, price), atol=1e-4)
    assert denoiser.rmse_validation_hu == pytest.approx(5.0 * (1 + price))


def test_no_price_is_the_control_to_the_bit(model: Path, images: np.ndarray, tmp_path: Path) -> None:
    control = task_path().control
    with torch.no_grad():
        expected = control(torch.from_numpy(images)).numpy()
    assert np.array_equal(denoise(load_denoiser(model, price=0.0), images), expected)
    assert np.array_equal(load_denoiser(model)(images, price=0.0), expected)
    np.save(tmp_path / "in.npy", images)
    assert np.array_equal(np.load(denoise_path(model, tmp_path / "in.npy", tmp_path / "o.npy", price=0.0)), expected)


def test_arrays_and_tensors_of_one_image_or_many_at_a_price_of_their_own(model: Path, images: np.ndarray) -> None:
    denoiser = taskct.load_denoiser(model)
    expected = by_hand(images, 0.05)
    for one in (images, images.astype(np.float64)):
        found = denoiser(one, price=0.05)
        assert isinstance(found, np.ndarray)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(denoiser(images[1], price=0.05), expected[1], atol=1e-4)
    with torch.no_grad():
        tensor = denoiser(torch.from_numpy(images), price=0.05)
        torch.testing.assert_close(tensor, torch.from_numpy(expected), atol=1e-4, rtol=0)
        torch.testing.assert_close(denoiser(torch.from_numpy(images[1]), price=0.05), tensor[1], atol=1e-4, rtol=0)
    # The dial stands where it stood, also after a price that is refused.
    with pytest.raises(UserError, match=r"^price is 0.3; it must be 0 to 0.2 \(RMSE over the control's, less 1"):
        denoiser(images, price=0.3)
    assert denoiser.price == CARD["price"]
    np.testing.assert_allclose(denoiser(images), by_hand(images, 0.02), atol=1e-4)
    with pytest.raises(UserError, match="images of shape"):
        denoiser(images[0, 0])


def test_it_says_what_it_is(model: Path) -> None:
    said = repr(load_denoiser(model, price=0.005))
    assert said.startswith("LoadedDenoiser(path at a price of 0.5% in RMSE, 5.025 HU on validation trials, seed=0, cnn")


@pytest.mark.parametrize("price", [*PRICE.outside(), "2%"])
def test_a_price_out_of_range(model: Path, price: Any) -> None:
    with pytest.raises(UserError, match=r"^price is .*; it must be 0 to 0\.2"):
        load_denoiser(model, price=price)


@pytest.mark.parametrize(
    "text", ["2", "20.1%", "-1%", "0.21", "nan", "%", "", "2%%", "2 percent", "1e9", "two", "0,02"]
)
def test_a_price_that_is_none(text: str) -> None:
    with pytest.raises(UserError, match=r"give percent of RMSE, as 2%, or the fraction, as 0.02; from 0 to 20 %$"):
        read_price(text)


@pytest.mark.parametrize(("text", "price"), [("20%", 0.2), ("0%", 0.0), ("0", 0.0), (" 0.5 %", 0.005), ("7%", 0.07)])
def test_prices_as_they_are_written(text: str, price: float) -> None:
    assert read_price(text) == price


def test_the_wrong_dial_is_refused_and_the_right_one_named(model: Path, images: np.ndarray) -> None:
    with pytest.raises(
        UserError, match=r"is a task path, whose dial is its price in RMSE: give a price, as 0.02 \(2%\)"
    ):
        load_denoiser(model, 0.5)
    control = Denoiser(ResidualCNN(n_layers=2, n_channels=4), offset_hu=40.0, scale_hu=20.0)
    alone = model.with_name("lambda=0_seed=0.safetensors")
    save_weights(alone, {"denoiser": control}, CARD | {"stage": "finetune", "arm": "lambda=0"})
    with pytest.raises(
        UserError, match="no task path, the only denoiser with a price: give alpha to a blend, or the file"
    ):
        load_denoiser(alone, price=0.02)
    with pytest.raises(UserError, match=r"price is 0\.02, but this is no task path"):
        load_denoiser(alone)(images, price=0.02)
    blend = model.with_name("b.blend.safetensors")
    save_weights(blend, {"control": control, "task": control}, CARD | {"stage": "blend", "alpha": 0.5})
    assert isinstance(load_denoiser(blend).denoiser, Blend)
    with pytest.raises(UserError, match="no task path"):
        load_denoiser(blend, price=0.02)


def test_tiles_change_nothing(model: Path) -> None:
    """The reach is that of the control and then of the correction."""
    image = np.random.default_rng(1).normal(40, 20, (1, 90, 101)).astype(np.float32)
    denoiser = load_denoiser(model, price=0.1)
    np.testing.assert_allclose(denoise(denoiser, image, tile=16), denoise(denoiser, image), atol=1e-4)


def test_headers_say_the_price(model: Path, tmp_path: Path, images: np.ndarray) -> None:
    denoise_path(model, CT, tmp_path / "out", price=0.005)
    (file,) = (tmp_path / "out").iterdir()
    assert pydicom.dcmread(file).SeriesDescription == "taskct path_seed=0 price=0.5%"
    nibabel.save(nibabel.Nifti1Image(images.T, np.eye(4)), tmp_path / "in.nii")
    denoise_path(model, tmp_path / "in.nii", tmp_path / "out.nii")
    header: Any = nibabel.load(tmp_path / "out.nii").header
    assert "price=2%" in bytes(header["descrip"]).decode()


def test_the_command_line(call: Call, refused: Callable[..., str], model: Path, tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(40, 20, (24, 31)).astype(np.float32)
    np.save(tmp_path / "in.npy", image)
    for name, price in (("a", "5%"), ("b", "0.05")):
        out = tmp_path / f"{name}.npy"
        args = ("denoise", model, tmp_path / "in.npy", out, "--price", price, "--device", "cpu", "--anyway")
        assert call(*args)[:2] == (0, f"Denoised: {out}\n")
        np.testing.assert_allclose(np.load(out), by_hand(image[None], 0.05)[0], atol=1e-4)
    for dial, message in (
        (("--price", "2"), "price is 2: give percent of RMSE, as 2%, or the fraction, as 0.02; from 0 to 20 %"),
        (("--price", "21%"), "price is 21%: give percent"),
        (("--alpha", "0.5"), "is a task path, whose dial is its price in RMSE"),
    ):
        assert message in refused("denoise", model, tmp_path / "in.npy", tmp_path / "c.npy", *dial)
    assert not (tmp_path / "c.npy").exists()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("price", value) for value in (-0.01, 0.21, "0.02", True)],
        *[("correction", value) for value in ([], "cnn", CARD["correction"] | {"more": 1})],
        *[("correction", CARD["correction"] | {"n_channels": value}) for value in (0, 513, 1.5, True, "4", 10**40)],
        *[("correction", CARD["correction"] | {"n_detail": value}) for value in (-1, 513)],
        *[("correction", CARD["correction"] | {"pool": value}) for value in (0, 17)],
        *[("squared_error_hu2", value) for value in ([25.0, 0.2], [25.0, 0.2, 9.0, 1.0], "25", [25.0, "0", 9.0], {})],
    ],
)
def test_a_card_with_a_wrong_value(model: Path, key: str, value: object) -> None:
    model.with_suffix(".json").write_text(json.dumps(CARD | {key: value}))
    with pytest.raises(
        UserError, match=rf"path_seed=0.json is broken \({key}: .*it must be the card that taskct wrote"
    ):
        load_denoiser(model)


@pytest.mark.parametrize("square", [[0.0, 0.2, 9.0], [25.0, 0.2, 0.0], [25.0, 1e200, 9.0], [-25.0, 0.2, 9.0]])
def test_errors_that_make_no_dial(model: Path, square: list[float]) -> None:
    model.with_suffix(".json").write_text(json.dumps(CARD | {"squared_error_hu2": square}))
    with pytest.raises(
        UserError, match=r"squared_error_hu2: .* are no errors of a CT image, HU²\): it must be the card"
    ):
        load_denoiser(model)


@pytest.mark.parametrize("key", ["price", "correction", "squared_error_hu2"])
def test_a_card_that_lacks_what_a_path_needs(model: Path, key: str) -> None:
    model.with_suffix(".json").write_text(json.dumps({name: value for name, value in CARD.items() if name != key}))
    with pytest.raises(UserError, match=f"{key} is missing"):
        load_denoiser(model)


def test_a_card_that_lacks_a_size(model: Path) -> None:
    model.with_suffix(".json").write_text(json.dumps(CARD | {"correction": {"n_channels": 4}}))
    with pytest.raises(UserError, match=r"path_seed=0\.json lacks correction\.pool: it must be the card"):
        load_denoiser(model)


def test_weights_of_another_correction(model: Path) -> None:
    model.with_suffix(".json").write_text(json.dumps(CARD | {"correction": CARD["correction"] | {"n_channels": 5}}))
    with pytest.raises(UserError, match="holds the weights of another network: for correction it has in another shape"):
        load_denoiser(model)


def test_an_arm_of_a_run_is_what_was_evaluated(path_run: Any) -> None:
    """Every price shows the images of the report; at no price the file is the control's arm."""
    opened = taskct.open_run(path_run.path, device="cpu")
    trials = opened.trials("test")
    with np.load(path_run.path / "examples.npz") as examples:
        shown = {name: examples[f"denoised/{name}"] for name in ("path price=0.02", "path price=0.05")}
        index = examples["trial"]
    for name, expected in shown.items():
        arm = opened.arm(name)
        assert arm.price == arm.denoiser().price
        np.testing.assert_allclose(arm.images()[index], expected, atol=1e-3)
    control, free = opened.arm("lambda=0"), opened.arm("path price=0.02").denoiser(price=0.0)
    assert np.array_equal(crop(free(trials.noisy), trials.margin), control.images())
    card = json.loads(path_run.weights("path_seed=0").with_suffix(".json").read_text())
    ratio = math.sqrt(1 + (card["squared_error_hu2"][1] + card["squared_error_hu2"][2]) / card["squared_error_hu2"][0])
    assert free.denoiser.square.rmse_ratio(1.0) == pytest.approx(ratio)
    validation = opened.trials("validation")
    at = opened.arm("path price=0.02").denoiser()
    error = crop(at(validation.noisy), validation.margin) - validation.reference_regions
    rmse = math.sqrt(np.mean(np.square(error, dtype=np.float64)))
    assert rmse == pytest.approx(at.rmse_validation_hu, rel=1e-4)
    assert rmse == pytest.approx(1.02 * card["rmse_validation_hu"], rel=1e-4)
