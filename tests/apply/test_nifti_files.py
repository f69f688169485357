"""NIfTI in and NIfTI out: a denoiser and a lower dose on a file, against the same on arrays and on DICOM."""

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

from anyway import denoise_path
from command_line import Call, call
from dicom_files import save_series
from taskct.apply.denoise import denoise
from taskct.apply.lower_dose import DoseReduction, lower_dose
from taskct.errors import UserError
from taskct.io.dicom import read_series
from taskct.io.nifti import read_nifti
from taskct.study.run_folder import RunFolder
from tiny_study import tiny_run

__all__ = ["call", "tiny_run"]  # fixtures

N, PIXEL_MM, N_SLICES, PADDING = 32, 8.0, 3, -2000


def body() -> np.ndarray:
    axis = (np.arange(N) - (N - 1) / 2) * PIXEL_MM
    image = np.where((axis[None, :] / 100) ** 2 + (axis[:, None] / 80) ** 2 < 1, 40, -1000)
    image[:3] = PADDING
    return image.astype(np.int16)


def head_first(path: Path) -> np.ndarray:
    """Stored values by (slice, row, column); the file's axes run to the right, to anterior, to the head."""
    stored: np.ndarray = np.asarray(nib.load(path).dataobj)
    return stored[::-1, ::-1].transpose(2, 1, 0)


@pytest.fixture(params=["ct.nii", "ct.nii.gz"])
def source(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The body thrice, with noise, padded above."""
    noise = np.random.default_rng(0).normal(0, 10, (N_SLICES, N, N)).round()
    stored = np.where(body() == PADDING, PADDING, body() + noise).astype(np.int16)
    affine = np.diag([PIXEL_MM, PIXEL_MM, 2.0, 1.0])
    path = tmp_path / str(request.param)
    nib.save(nib.Nifti1Image(stored.transpose(2, 1, 0)[::-1, ::-1], affine), path)
    return path


def test_denoise(tiny_run: RunFolder, source: Path, tmp_path: Path) -> None:
    model, before = tiny_run.weights("lambda=0.9_seed=0"), source.read_bytes()
    out = denoise_path(model, source, tmp_path / "out.nii.gz")
    stored = head_first(source)
    np.save(tmp_path / "in.npy", np.where(stored == PADDING, -1000, stored).astype(np.float32))
    expected = np.load(denoise_path(model, tmp_path / "in.npy", tmp_path / "out.npy"))
    found = head_first(out)
    padded = stored == PADDING
    assert (found[padded] == PADDING).all()
    assert np.abs(found - expected)[~padded].max() <= 0.5 + 1e-3
    assert np.abs(found - stored)[~padded].max() > 1
    np.testing.assert_array_equal(nib.load(out).affine, nib.load(source).affine)
    assert nib.load(out).header["descrip"].item() == b"taskct lambda=0.9_seed=0"
    assert source.read_bytes() == before


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "there.nii", "out", "out.dcm", "out.npy"])
def test_outputs_that_are_no_new_nifti_file(tiny_run: RunFolder, source: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "there.nii").write_text("mine")
    target = tmp_path / (source.name if name.startswith("ct") else name)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    message = r"the output of a NIfTI file is a new \.nii or \.nii\.gz file; choose another name$"
    with pytest.raises(UserError, match=message):
        denoise_path(tiny_run.weights("lambda=0.9_seed=0"), source, target)
    with pytest.raises(UserError, match=message):
        lower_dose(source, target, DoseReduction(0.5, 10))
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_lower_dose_is_that_of_the_same_series_in_dicom(tmp_path: Path) -> None:
    """Equal images and seeds give equal noise, whatever the format."""
    tags = {"RescaleSlope": 1, "RescaleIntercept": 0, "PixelSpacing": [PIXEL_MM, PIXEL_MM]}
    save_series(tmp_path / "dicom", n=N_SLICES, stored=body(), **tags)
    stored = np.stack([body()] * N_SLICES)
    affine = np.diag([PIXEL_MM, PIXEL_MM, 2.0, 1.0])
    nib.save(nib.Nifti1Image(stored.transpose(2, 1, 0)[::-1, ::-1], affine), tmp_path / "ct.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "ct.nii.gz").image_hu, read_series(tmp_path / "dicom").image_hu)
    reduction = DoseReduction(0.1, 10)
    lower_dose(tmp_path / "dicom", tmp_path / "low", reduction)
    out = lower_dose(tmp_path / "ct.nii.gz", tmp_path / "low.nii.gz", reduction)
    by_dicom, by_nifti = read_series(tmp_path / "low"), read_nifti(out)
    np.testing.assert_array_equal(by_nifti.padding, by_dicom.padding)
    inside = body() > 0
    assert np.abs(by_nifti.image_hu - by_dicom.image_hu).max() <= 1.0  # each is rounded to whole HU
    assert by_nifti.image_hu[:, inside].std() > 5
    assert (head_first(out)[:, :3] == PADDING).all()


def test_the_commands(tiny_run: RunFolder, source: Path, tmp_path: Path, call: Call) -> None:
    model = tiny_run.weights("lambda=0.9_seed=0")
    for name, *words in (
        ("denoised.nii.gz", "denoise", model, source, tmp_path / "denoised.nii.gz", "--anyway"),
        ("low.nii.gz", "lower-dose", source, tmp_path / "low.nii.gz", "--dose-fraction", "0.25", "--noise-hu", "10"),
    ):
        status, _, stderr = call(*words, "--device", "cpu")
        assert status == 0, stderr
        before, after = head_first(source), head_first(tmp_path / name)
        np.testing.assert_array_equal(after == PADDING, before == PADDING)
        assert np.abs(after - before).max() > 1
        status, _, stderr = call(*words, "--device", "cpu")
        assert status == 2
        assert "choose another name" in stderr


class Darker(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images - 7.0


def test_a_volume_in_which_nobody_looked_for_padding_is_denoised_whole(source: Path) -> None:
    volume = read_nifti(source)
    assert volume.padding is not None
    np.testing.assert_allclose(denoise(Darker(), replace(volume, padding=None)), volume.image_hu - 7.0)
    expected = np.where(volume.padding, volume.image_hu, volume.image_hu - 7.0)
    np.testing.assert_allclose(denoise(Darker(), volume), expected)
