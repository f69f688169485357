"""Whether an input is like what a model learned on: no false alarm on its own images, an alarm on others."""

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import torch
from safetensors.torch import load_file
from scipy import ndimage
from torch import nn

import taskct
from command_line import Call, call, refused
from path_files import CARD, save_task_path
from real_ct import LIVER, read_labels, real_ct_or_skip
from taskct.apply.denoise import LoadedDenoiser, denoise
from taskct.apply.denoise_files import denoise_path
from taskct.apply.validity import Moved, compare, measure, some_of
from taskct.errors import UserError
from taskct.io.dicom import read_series
from taskct.io.volume import Volume
from taskct.study.run_folder import RunFolder
from tiny_study import tiny_run

__all__ = ["call", "refused", "tiny_run"]  # fixtures

CT = Path(pydicom.__file__).parent / "data" / "test_files" / "CT_small.dcm"  # pixels of 0.661 mm

LEARNED: dict[str, Any] = {
    "pixel_mm": 1.0,
    "slice_mm": 2.0,
    "range_hu": [-50.0, 150.0],
    "noise_hu": {"mean": 20.0, "low": 17.0, "high": 23.0},
    "texture_per_mm": {"mean": 0.295, "low": 0.28, "high": 0.31},
}
"""Of white noise of 20 HU on 50 HU at 1 mm, some of it more and some less."""


def noisy(side: int = 64, sd: float = 20.0, mean: float = 50.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, sd, (side, side)).astype(np.float32)


def found(image: np.ndarray, pixel_mm: float | None = 1.0, slice_mm: float | None = None) -> tuple[str, str]:
    """What lies outside, and what lies far outside, in words."""
    validity = compare({"learned_on": LEARNED}, measure([(image, None)], pixel_mm=pixel_mm, slice_mm=slice_mm))
    return "; ".join(validity.outside), "; ".join(validity.far)


def test_like_the_training_images() -> None:
    """400 draws, and none is outside: below 1 in 100 with a confidence of 98 %."""
    assert {found(noisy(seed=seed)) for seed in range(400)} == {("", "")}


@pytest.mark.parametrize(
    ("image", "pixel_mm", "outside", "far"),
    [
        (noisy(), 1.08, "", False),
        (noisy(), 0.85, r"^pixels of 0\.85 mm \(learned on 1 mm\)$", False),
        (noisy(), 0.66, r"^pixels of 0\.66 mm \(learned on 1 mm\)$", True),
        (noisy(), 1.5, r"^pixels of 1\.5 mm", True),
        (noisy(sd=12.0), 1.0, r"^noise of 1[12]\.?\d* HU \(learned on 17 to 23 HU\)$", False),
        (noisy(sd=7.0), 1.0, r"^noise of [67]\.", True),
        (noisy(sd=35.0), 1.0, "noise of 3[45]", False),
        (noisy(sd=60.0), 1.0, "noise of [56]", True),
        (np.full((64, 64), 40.0), 1.0, "^noise of 0 HU", True),
        (np.repeat(np.repeat(noisy(32), 2, 0), 2, 1), 1.0, r"^noise texture of 0\.19 cycles/pixel", False),
        (ndimage.gaussian_filter(noisy(sd=90.0, mean=0.0), 1.3) + 50, 1.0, r"noise texture of 0\.1\d cycles", True),
        (
            noisy() + 1024,
            1.0,
            r"^100% of the pixels beyond -50 to 150 HU .*\(here 996 to 1139 HU\)$",
            True,
        ),
        (noisy() - 120, 1.0, "^51% of the pixels", False),
        (np.where(np.arange(64) < 40, noisy(), -1000.0 + 0 * noisy()), 1.0, "^38% of the pixels", False),
        (noisy() / 1000.0, 1.0, "^noise of 0.0", True),
    ],
)
def test_what_lies_outside(image: np.ndarray, pixel_mm: float, outside: str, far: bool) -> None:
    said, said_far = found(image, pixel_mm)
    assert bool(said) == bool(outside), said
    assert re.search(outside, said), said
    assert bool(said_far) == far, said


def test_slices_are_compared_where_both_are_known() -> None:
    assert found(noisy(), slice_mm=2.5) == ("", "")
    assert found(noisy(), slice_mm=5.0) == ("slices of 5 mm (learned on 2 mm)", "")
    assert found(noisy(), slice_mm=float("nan")) == ("", "")


def test_what_cannot_be_compared_is_said() -> None:
    measured = measure([(noisy(10), None)])
    validity = compare({"learned_on": LEARNED}, measured)
    assert validity.unknown == (
        "pixel size unknown (the model learned on 1 mm): give --pixel-mm",
        "the images are too small, or too empty, to measure their noise",
    )
    assert compare({}, measured).unknown == (
        "the card does not say all that the model learned on, so that not all could be compared",
    )


def test_the_middle_and_both_ends_of_a_series_are_measured() -> None:
    assert some_of(1) == [0]
    which = some_of(301)
    assert (which[0], which[-1], len(which)) == (0, 300, 16)


def test_how_far_the_mean_moved() -> None:
    image = np.array([[-1000.0, -900.0], [40.0, 2000.0]], dtype=np.float32)
    moved = Moved(-50.0, 150.0)
    moved.add(image, image + np.array([[178.0, 178.0], [5.0, -10.0]], dtype=np.float32), None)
    assert moved.text() == "the mean moved, of the pixels below -50 HU by +178 HU and above 150 HU by -10 HU"
    masked = Moved(-50.0, 150.0)
    masked.add(image, image + 1, image < -950)
    assert masked.text() == "the mean moved, of the pixels below -50 HU by +1 HU and above 150 HU by +1 HU"
    assert Moved(-2000.0, 3000.0).text() is None


def demo_like(path: Path, **learned: Any) -> Path:
    """A model whose card says that it learned as `LEARNED`, or as is given."""
    save_task_path(path)
    path.with_suffix(".json").write_text(json.dumps(CARD | {"learned_on": LEARNED | learned}))
    return path


def test_no_false_alarm_on_a_models_own_test_images(tiny_run: RunFolder, tmp_path: Path) -> None:
    """Warnings are errors here."""
    test, model = tiny_run.read("test"), tiny_run.weights("lambda=0.9_seed=0")
    denoiser = taskct.load_denoiser(model)
    denoise(denoiser, test.noisy, pixel_mm=test.pixel_mm)
    np.save(tmp_path / "in.npy", test.noisy)
    told: list[str] = []
    denoise_path(model, tmp_path / "in.npy", tmp_path / "out.npy", pixel_mm=test.pixel_mm, tell=told.append)
    assert told == []


def test_the_command_refuses_what_is_far_outside(call: Call, refused: Callable[..., str], tmp_path: Path) -> None:
    model, out = demo_like(tmp_path / "path.safetensors"), tmp_path / "out"
    said = refused("denoise", model, CT, out, "--device", "cpu")
    assert "CT_small.dcm lies far outside what the model learned on: pixels of 0.661 mm (learned on 1 mm)" in said
    assert "--anyway" in said
    assert not out.exists()
    code, _, notes = call("denoise", model, CT, out, "--device", "cpu", "--anyway")
    assert code == 0
    assert len(list(out.iterdir())) == 1
    first, *rest = notes.splitlines()
    assert first.startswith("note: CT_small.dcm lies outside what the model learned on: pixels of 0.661 mm")
    assert "% of the pixels beyond -50 to 150 HU" in first
    assert any("the mean moved, of the pixels below -50 HU by" in line for line in rest)


def test_an_array_says_no_pixel_size(call: Call, refused: Callable[..., str], tmp_path: Path) -> None:
    model = demo_like(tmp_path / "path.safetensors")
    np.save(tmp_path / "in.npy", noisy())
    asked = ("denoise", model, tmp_path / "in.npy", "--device", "cpu")
    _, _, notes = call(*asked, tmp_path / "a.npy")
    assert notes == "note: in.npy: pixel size unknown (the model learned on 1 mm): give --pixel-mm\n"
    assert call(*asked, tmp_path / "b.npy", "--pixel-mm", "1.0")[::2] == (0, "")
    assert "pixels of 0.5 mm" in refused(*asked, tmp_path / "c.npy", "--pixel-mm", "0.5")
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))


def test_functions_measure_too(tmp_path: Path) -> None:
    denoiser = taskct.load_denoiser(demo_like(tmp_path / "path.safetensors"))
    far = noisy(sd=60.0)
    for use in (lambda: denoise(denoiser, far), lambda: denoiser(far)):
        with pytest.raises(UserError, match=r"^the input lies far outside .*noise of .*anyway=True"):
            use()
    with pytest.warns(UserWarning, match="the input lies outside what the model learned on: noise of"):
        expected = denoise(denoiser, far, anyway=True)
    with torch.no_grad():
        torch.testing.assert_close(denoiser(torch.from_numpy(far)), torch.from_numpy(expected))
    series = Volume(
        image_hu=noisy()[None],
        pixel_mm=(0.5, 0.5),
        slice_mm=float("nan"),
        affine=np.eye(4),
        series_key="",
        patient_key="",
    )
    with pytest.raises(UserError, match=r"^the series lies far outside .*pixels of 0\.5 mm"):
        denoise(denoiser, series)


class Same(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def test_a_module_without_a_card_is_not_asked() -> None:
    np.testing.assert_array_equal(denoise(Same(), np.zeros((1, 8, 8))), np.zeros((1, 8, 8)))


def test_a_loaded_denoiser_is_a_module(tmp_path: Path) -> None:
    path = demo_like(tmp_path / "path.safetensors")
    denoiser = taskct.load_denoiser(path)
    assert isinstance(denoiser, LoadedDenoiser)
    assert not denoiser.training
    held, state = load_file(path), denoiser.state_dict()
    for name, value in held.items():
        assert torch.equal(state[f"denoiser.{name}"], value)
    images = torch.from_numpy(np.stack([noisy(24), noisy(24, seed=1)]))
    twice = nn.Sequential(denoiser, nn.Identity(), denoiser)
    with torch.no_grad():
        expected = denoiser(denoiser(images))
        assert torch.equal(twice(images), expected)
        assert twice.to("cpu") is twice
    other = taskct.load_denoiser(path)
    other.load_state_dict({name: torch.zeros_like(value) for name, value in state.items()}, strict=True)
    assert not any(parameter.any() for parameter in other.parameters())
    assert next(denoiser.to(torch.float64).parameters()).dtype == torch.float64


def test_a_real_series_is_not_what_the_demo_learned_on(tmp_path: Path) -> None:
    """An abdomen of 0.98 mm pixels, with air and bone, at a third of the noise."""
    folder = real_ct_or_skip()
    series = read_series(folder, slicewise=True)
    measured = measure(
        [(series.image_hu[i], series.padding[i]) for i in (2, 10, 17)], pixel_mm=series.pixel_mm[0], slice_mm=2.0
    )
    liver = read_labels()[10] == LIVER
    flat = [
        np.std(series.image_hu[10, y : y + 8, x : x + 8], ddof=1)
        for y, x in itertools.product(range(0, 504, 8), repeat=2)
        if liver[y : y + 8, x : x + 8].all()
    ]
    assert measured.noise_hu == pytest.approx(float(np.median(flat)), rel=0.15)
    validity = compare({"learned_on": LEARNED}, measured)
    assert validity.beyond
    assert any(text.startswith("noise of") for text in validity.outside)
    assert any("% of the pixels beyond" in text for text in validity.outside)
