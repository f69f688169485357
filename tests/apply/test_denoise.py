"""A trained denoiser on a user's own images."""

import errno
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from anyway import denoise_path
from taskct.apply.denoise import load_denoiser
from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.denoiser import Denoiser, denoise
from taskct.errors import UserError
from taskct.files import write_npy
from taskct.io.dicom import read_series, read_slice
from taskct.io.image_stack import read_npy
from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep
from taskct.training.checkpoints import load_weights, save_weights
from taskct.trials.store import read_trials
from taskct.trials.trials import crop
from tiny_study import tiny_run, tiny_settings

__all__ = ["tiny_run"]  # a fixture

DATA = Path(pydicom.__file__).parent / "data" / "test_files"
CT, MR = DATA / "CT_small.dcm", DATA / "MR_small.dcm"


@pytest.fixture(scope="session")
def model(tiny_run: RunFolder) -> Path:
    return tiny_run.weights("lambda=0.9_seed=0")


@pytest.fixture
def by_hand(model: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The same weights put together without `load_denoiser`."""
    denoiser = Denoiser(ResidualCNN(n_layers=2, n_channels=4), offset_hu=0.0, scale_hu=1.0)
    load_weights(model, {"denoiser": denoiser})
    return lambda image_hu: denoise(denoiser, image_hu, dtype="float32")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int16])
def test_npy(model: Path, tmp_path: Path, by_hand: Callable[[np.ndarray], np.ndarray], dtype: type[np.generic]) -> None:
    stack = np.random.default_rng(0).normal(40, 20, (3, 24, 31)).astype(dtype)
    np.save(tmp_path / "stack.npy", stack)
    np.save(tmp_path / "image.npy", stack[1])
    seen: list[tuple[int, int]] = []
    written = denoise_path(
        model,
        tmp_path / "stack.npy",
        tmp_path / "new" / "out.npy",
        progress=lambda done, total, detail: seen.append((done, total)),
    )
    assert seen[-1] == (3, 3)
    result = np.load(written, allow_pickle=False)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, by_hand(stack.astype(np.float32)), atol=1e-3)
    one = np.load(denoise_path(model, tmp_path / "image.npy", tmp_path / "one.npy"), allow_pickle=False)
    np.testing.assert_allclose(one, result[1], atol=1e-3)


@pytest.mark.parametrize("stem", ["lambda=0.9_seed=1", "lambda=0.9_head=eye_seed=1"])
def test_a_blend_is_the_weighted_mean(tiny_run: RunFolder, tmp_path: Path, stem: str) -> None:
    """Of the model's output and that of λ = 0 of the same training seed, with all else alike."""
    np.save(tmp_path / "in.npy", np.random.default_rng(0).normal(40, 20, (2, 20, 24)))
    out = {}
    for name, model, alpha in (
        ("control", stem.replace("0.9", "0"), 1.0),
        ("none", stem, 0.0),
        ("model", stem, 1.0),
        ("blend", stem, 0.3),
    ):
        path = tmp_path / f"{name}.npy"
        out[name] = np.load(denoise_path(tiny_run.weights(model), tmp_path / "in.npy", path, alpha=alpha))
    np.testing.assert_allclose(out["none"], out["control"], atol=1e-4)
    np.testing.assert_allclose(out["blend"], 0.7 * out["control"] + 0.3 * out["model"], atol=1e-4)
    assert np.abs(out["model"] - out["control"]).max() > 1e-2  # so that the weights matter


def test_a_blend_says_so_in_the_header(model: Path, tmp_path: Path) -> None:
    denoise_path(model, CT, tmp_path / "out", alpha=0.25)
    (file,) = (tmp_path / "out").iterdir()
    assert pydicom.dcmread(file).SeriesDescription == "taskct lambda=0.9_seed=0 alpha=0.25"


def test_a_blend_that_cannot_be_made(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.zeros((20, 20)))
    for alpha in (-0.1, 1.01, float("nan")):
        with pytest.raises(UserError, match=r"^alpha is .* in \[0, 1\]$"):
            denoise_path(model, tmp_path / "in.npy", tmp_path / "out.npy", alpha=alpha)
    alone = tmp_path / model.name
    alone.write_bytes(model.read_bytes())
    card = model.with_suffix(".json").read_text()
    alone.with_suffix(".json").write_text(card)
    with pytest.raises(UserError, match=r"no control .*lambda=0_seed=0\.safetensors to blend with: put"):
        denoise_path(alone, tmp_path / "in.npy", tmp_path / "out.npy", alpha=0.5)
    alone.with_suffix(".json").write_text(card.replace('"seed"', '"sown"'))
    with pytest.raises(UserError, match="names no seed"):
        denoise_path(alone, tmp_path / "in.npy", tmp_path / "out.npy", alpha=0.5)
    assert not (tmp_path / "out.npy").exists()


def test_a_blends_file_is_the_blend_with_a_dial(tiny_run: RunFolder, model: Path, tmp_path: Path) -> None:
    """One file in place of two; its dial stands where the validation RMSE is 2 % above the control's, or at 1."""
    np.save(tmp_path / "in.npy", np.random.default_rng(0).normal(40, 20, (2, 20, 24)))
    blend = model.with_name(model.stem + ".blend.safetensors")
    card = json.loads(blend.with_suffix(".json").read_text())

    def run(path: Path, alpha: float | None, name: str) -> np.ndarray:
        result: np.ndarray = np.load(denoise_path(path, tmp_path / "in.npy", tmp_path / f"{name}.npy", alpha=alpha))
        return result

    np.testing.assert_allclose(run(blend, 0.3, "a"), run(model, 0.3, "b"), atol=1e-4)
    np.testing.assert_allclose(run(blend, None, "c"), run(model, card["alpha"], "d"), atol=1e-4)
    a, b, c = card["squared_error_hu2"]
    validation = read_trials(tiny_run.trials, "validation")
    np.save(tmp_path / "noisy.npy", validation.noisy)
    for alpha in {0.0, card["alpha"], 1.0}:
        images = np.load(denoise_path(blend, tmp_path / "noisy.npy", tmp_path / f"at {alpha}.npy", alpha=alpha))
        mse = float(np.mean(np.square(crop(images, 2) - crop(validation.reference, 2), dtype=np.float64)))
        assert mse == pytest.approx(a + b * alpha + c * alpha**2, rel=1e-5)
    at_dial = (a + b * card["alpha"] + c * card["alpha"] ** 2) / a
    assert at_dial == pytest.approx(1.02**2, rel=1e-3) or (card["alpha"] == 1.0 and at_dial <= 1.02**2)


def test_layers_that_a_blend_shares_are_stored_once(tmp_path: Path) -> None:
    settings = tiny_settings(training={"trainable": "last:1", "seeds": [0], "other_head_lambda": None})
    run = RunFolder(tmp_path / "run", settings, device=torch.device("cpu"))
    sweep(run, ["simulate"])
    sweep(run, ["train"]).check()
    (path,) = (run.path / "models").glob("*.blend.safetensors")
    keys = set(load_file(path))
    assert {key for key in keys if key.startswith("task.")} == {
        "task.network.layers.2.weight",
        "task.network.layers.2.bias",
    }
    assert load_denoiser(path).denoiser.shared  # and run once


def test_tiles_change_nothing(model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "in.npy", np.random.default_rng(0).normal(40, 20, (2, 50, 41)))
    whole, tiled = (
        np.load(denoise_path(model, tmp_path / "in.npy", tmp_path / f"{tile}.npy", tile=tile)) for tile in (None, 16)
    )
    np.testing.assert_allclose(tiled, whole, atol=1e-4)
    with pytest.raises(UserError, match="tile is 8 pixels: give at least 16"):
        denoise_path(model, tmp_path / "in.npy", tmp_path / "out.npy", tile=8)


def test_it_is_what_was_evaluated(tiny_run: RunFolder, model: Path, tmp_path: Path) -> None:
    """The trials' noisy images, given as a file, come out as the arm's images of the report."""
    with np.load(tiny_run.path / "examples.npz") as examples:
        trials, chosen = examples["trial"], [key for key in examples if key == "denoised/lambda=0.9"]
        expected = examples[chosen[0]]
    np.save(tmp_path / "noisy.npy", read_trials(tiny_run.trials, "test").noisy[trials])
    result = np.load(denoise_path(model, tmp_path / "noisy.npy", tmp_path / "out.npy"), allow_pickle=False)
    np.testing.assert_allclose(crop(result, 2), expected, atol=1e-3)


def test_a_dicom_slice(model: Path, tmp_path: Path, by_hand: Callable[[np.ndarray], np.ndarray]) -> None:
    source = read_slice(CT)
    before = CT.read_bytes()
    denoise_path(model, CT, tmp_path / "out")
    written = read_series(tmp_path / "out")
    # Stored in whole steps of the rescale slope, 1 HU here, so up to half a step off.
    expected = np.where(source.padding, source.image_hu, by_hand(source.image_hu))
    assert np.abs(written.image_hu - expected).max() <= 0.5 + 1e-3
    assert np.abs(written.image_hu - source.image_hu).max() > 1
    (file,) = (tmp_path / "out").iterdir()
    header = pydicom.dcmread(file)
    assert header.SeriesDescription == "taskct lambda=0.9_seed=0"
    assert header.SeriesInstanceUID != pydicom.dcmread(CT).SeriesInstanceUID
    assert CT.read_bytes() == before


def test_a_dicom_series(model: Path, tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    for i in range(3):
        dataset = pydicom.dcmread(CT)
        x, y, z = (float(value) for value in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, y, z + 5 * i]
        dataset.SOPInstanceUID = f"1.2.3.{i}"
        dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{i}"
        dataset.save_as(tmp_path / "series" / f"{2 - i}")  # no ending, order reversed
    denoise_path(model, tmp_path / "series", tmp_path / "out")
    written, alone = read_series(tmp_path / "out"), read_slice(CT)
    assert written.image_hu.shape == (3, *alone.image_hu.shape[1:])
    assert written.slice_mm == pytest.approx(5.0)
    for image in written.image_hu[1:]:  # three times the same slice
        np.testing.assert_array_equal(image, written.image_hu[0])


def test_a_long_file_name_fits_the_header(tiny_run: RunFolder, model: Path, tmp_path: Path) -> None:
    renamed = tmp_path / f"mein-λ-modell-{'x' * 80}.safetensors"
    renamed.write_bytes(model.read_bytes())
    renamed.with_suffix(".json").write_bytes(model.with_suffix(".json").read_bytes())
    denoise_path(renamed, CT, tmp_path / "out")
    (file,) = (tmp_path / "out").iterdir()
    assert str(pydicom.dcmread(file).SeriesDescription).startswith("taskct mein-?-modell-xx")


def save(path: Path, array: np.ndarray) -> Path:
    np.save(path, array, allow_pickle=True)
    return path


def cut(path: Path, source: Path, share: float) -> Path:
    content = source.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize(
    ("make", "out", "message"),
    [
        (lambda p: p / "none.npy", "o.npy", "does not exist"),
        (lambda p: save(p / "a.npy", np.zeros(5)), "o.npy", r"of shape \(5,\): give HU as"),
        (lambda p: save(p / "a.npy", np.zeros((1, 2, 4, 4))), "o.npy", "give HU as"),
        (lambda p: save(p / "a.npy", np.zeros((0, 4, 4))), "o.npy", "give HU as"),
        (lambda p: save(p / "a.npy", np.zeros((4, 4), dtype=complex)), "o.npy", "give HU as"),
        (lambda p: save(p / "a.npy", np.zeros((4, 4), dtype=bool)), "o.npy", "give HU as"),
        (lambda p: save(p / "a.npy", np.full((4, 4), np.nan)), "o.npy", "not finite"),
        (lambda p: save(p / "a.npy", np.full((4, 4), 1e300)), "o.npy", "not finite"),
        (lambda p: save(p / "a.npy", np.array([{"a": 1}], dtype=object)), "o.npy", "cannot be read"),
        (lambda p: cut(p / "a.npy", save(p / "b.npy", np.zeros((8, 8))), 0.5), "o.npy", "cannot be read"),
        (lambda p: cut(p / "a.npy", save(p / "b.npy", np.zeros((8, 8))), 0.0), "o.npy", "cannot be read"),
        (lambda p: save(p / "a.npy", np.zeros((8, 8))), "o.dcm", "the output of a .npy file is a .npy file"),
        (lambda p: save(p / "a.npy", np.zeros((8, 8))), "full", "the output of a .npy file|exists"),
        (lambda p: save(p / "a.npy", np.zeros((8, 8))), "there.npy", "exists: choose another output"),
        (lambda p: CT, "o.npy", "the output of DICOM is a folder"),
        (lambda p: CT, "full", "exists: choose another output"),
        (lambda p: CT, "there.npy", "exists: choose another output"),
        (lambda p: MR, "o", "modality MR; give one CT slice"),
        (lambda p: cut(p / "a.dcm", CT, 0.9), "o", "cut short"),
        (lambda p: cut(p / "a.dcm", CT, 0.01), "o", "cut short"),
        (lambda p: p / "full", "o", "no CT slice"),
    ],
)
def test_what_cannot_be_denoised(
    model: Path, tmp_path: Path, make: Callable[[Path], Path], out: str, message: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    np.save(tmp_path / "there.npy", np.ones(3))
    before = (tmp_path / "there.npy").read_bytes()
    with pytest.raises(UserError, match=message) as caught:
        denoise_path(model, make(tmp_path), tmp_path / out)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "o").exists()
    assert not (tmp_path / "o.npy").exists()
    assert [entry.name for entry in (tmp_path / "full").iterdir()] == ["mine.txt"]
    assert (tmp_path / "there.npy").read_bytes() == before


def test_an_archive_of_arrays(tmp_path: Path) -> None:
    with (tmp_path / "a.npy").open("wb") as file:
        np.savez(file, a=np.zeros((4, 4)))
    with pytest.raises(UserError, match="is an archive of arrays"):
        read_npy(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UserError, match=r"cannot be read|is an archive"):
        read_npy(tmp_path / "b.npy")


def test_the_output_may_not_lie_inside_the_series(model: Path, tmp_path: Path) -> None:
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "a.dcm").write_bytes(CT.read_bytes())
    with pytest.raises(UserError, match="choose a folder outside the series"):
        denoise_path(model, tmp_path / "series", tmp_path / "series" / "out")


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: object, array: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space"):
        write_npy(tmp_path / "a.npy", np.zeros((2, 2), dtype=np.float32))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ({}, "lacks network"),
        ({"network": "cnn", "arguments": {}}, "lacks dtype"),
        ({"network": "cnn", "arguments": [2], "dtype": "float32"}, "is broken"),
        ({"network": "cnn", "arguments": {}, "dtype": "int4"}, "is broken"),
        ({"network": "cnn", "arguments": {"n_layers": 3}, "dtype": "float32"}, "weights of another network"),
        ({"network": "os.system", "arguments": {"command": "exit"}, "dtype": "float32"}, "--trust-network os.system"),
    ],
)
def test_models_that_cannot_be_loaded(model: Path, tmp_path: Path, card: dict[str, object], message: str) -> None:
    copy = tmp_path / "m.safetensors"
    copy.write_bytes(model.read_bytes())
    copy.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(UserError, match=message):
        load_denoiser(copy)


def test_a_users_own_module_is_loaded_by_its_card(tmp_path: Path) -> None:
    """Any nn.Module: a saved convolution that is a mean over 3 pixels is applied in HU."""
    network = nn.Conv2d(1, 1, (1, 3), padding=(0, 1), bias=False)
    with torch.no_grad():
        network.weight.fill_(1 / 3)
    arguments = {"in_channels": 1, "out_channels": 1, "kernel_size": [1, 3], "padding": [0, 1], "bias": False}
    path = tmp_path / "mean.safetensors"
    card = {"network": "torch.nn.Conv2d", "arguments": arguments, "dtype": "float32"}
    save_weights(path, {"denoiser": Denoiser(network, offset_hu=0.0, scale_hu=50.0)}, card)
    image = np.random.default_rng(0).normal(0, 100, (12, 12))
    np.save(tmp_path / "a.npy", image)
    with pytest.raises(UserError, match="is code from outside taskct"):
        load_denoiser(path)
    load_denoiser(path, trust=["torch.nn.Conv2d"])
    result = np.load(denoise_path(path, tmp_path / "a.npy", tmp_path / "b.npy"), allow_pickle=False)
    padded = np.pad(image, ((0, 0), (1, 1)))
    expected = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
    np.testing.assert_allclose(result, expected, atol=1e-3)
