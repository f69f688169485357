"""The same series by DICOM and by NIfTI: one image in HU, one denoised image, one lower dose."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from torch import nn

from dicom_files import save_series
from taskct.apply.denoise import denoise, denoise_path
from taskct.apply.lower_dose import DoseReduction, lower_dose
from taskct.errors import UserError
from taskct.io.dicom import read_series
from taskct.io.nifti import read_nifti
from taskct.study.run_folder import RunFolder
from tiny_study import tiny_run

__all__ = ["tiny_run"]  # a fixture

N, PIXEL_MM = 64, 5.0
AXIS = (np.arange(N) - (N - 1) / 2) * PIXEL_MM
TAGS = {"RescaleSlope": 1, "RescaleIntercept": 0, "PixelSpacing": [PIXEL_MM, PIXEL_MM]}


def scan(padding):
    """An ellipse of water with noise in air, and outside the field of view what a scanner writes."""
    body = (AXIS[None, :] / 140) ** 2 + (AXIS[:, None] / 100) ** 2 < 1
    image = np.where(body, 40, -1000) + np.random.default_rng(7).normal(0, 10, (N, N))
    return np.where(np.hypot(AXIS[None, :], AXIS[:, None]) < 155, image, padding).astype(np.int16)


@pytest.fixture(params=[-2000, -3024], ids=str)
def both(request, tmp_path):
    """A series as DICOM, and the file that another hand makes of it by its positions."""
    save_series(tmp_path / "ct", n=3, stored=scan(request.param), **TAGS)
    series = read_series(tmp_path / "ct")
    hu = np.where(series.padding, request.param, series.image_hu)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ series.affine[:, [2, 1, 0, 3]]
    image = nib.Nifti1Image(hu.transpose(2, 1, 0).astype(np.int16), affine)
    nib.save(image, tmp_path / "ct.nii.gz")
    return series, tmp_path / "ct", tmp_path / "ct.nii.gz"


def test_padding_reads_alike(both):
    series, _, file = both
    volume = read_nifti(file)
    assert series.padding.any()
    np.testing.assert_array_equal(volume.padding, series.padding)
    np.testing.assert_array_equal(volume.image_hu, series.image_hu)
    assert (volume.pixel_mm, volume.slice_mm) == (series.pixel_mm, series.slice_mm)


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="dcm2niix is not installed")
def test_what_dcm2niix_makes_of_it_reads_alike(both, tmp_path):
    series, folder, _ = both
    out = tmp_path / "converted"
    out.mkdir()
    subprocess.run(["dcm2niix", "-z", "y", "-o", out, "-f", "x", folder], check=True, capture_output=True)
    (file,) = out.glob("*.nii.gz")
    volume = read_nifti(file)
    np.testing.assert_array_equal(volume.padding, series.padding)
    np.testing.assert_array_equal(volume.image_hu, series.image_hu)


def test_denoised_alike(both, tmp_path, tiny_run: RunFolder):
    series, folder, file = both
    model = tiny_run.weights("lambda=0.9_seed=0")
    by_dicom = read_series(denoise_path(model, folder, tmp_path / "denoised"))
    out = denoise_path(model, file, tmp_path / "denoised.nii.gz")
    by_nifti, stored = read_nifti(out), np.asanyarray(nib.load(out).dataobj)
    assert np.abs(by_nifti.image_hu - series.image_hu).max() > 1.0
    np.testing.assert_allclose(by_nifti.image_hu, by_dicom.image_hu, atol=1.0)  # each rounded to whole HU
    np.testing.assert_array_equal(stored == stored[0, 0, 0], np.asanyarray(nib.load(file).dataobj) == stored[0, 0, 0])
    assert b"taskct lambda=0.9_seed=0" in bytes(nib.load(out).header["descrip"])


def test_a_lower_dose_alike(both, tmp_path):
    series, folder, file = both
    reduction = DoseReduction(dose_fraction=0.25, noise_hu=10)
    by_dicom = read_series(lower_dose(folder, tmp_path / "low", reduction))
    by_nifti = read_nifti(lower_dose(file, tmp_path / "low.nii", reduction))
    assert np.std(by_nifti.image_hu - series.image_hu) > 3.0
    np.testing.assert_allclose(by_nifti.image_hu, by_dicom.image_hu, atol=1.0)
    np.testing.assert_array_equal(by_nifti.padding, series.padding)


def test_the_output_of_nifti_is_a_new_nifti_file(both, tmp_path, tiny_run: RunFolder):
    _, _, file = both
    model, reduction = tiny_run.weights("lambda=0.9_seed=0"), DoseReduction(dose_fraction=0.25, noise_hu=10)
    before = file.read_bytes()
    for out in (tmp_path / "out.npy", tmp_path / "out", file):
        with pytest.raises(UserError, match=r"a new \.nii or \.nii\.gz file"):
            denoise_path(model, file, out)
        with pytest.raises(UserError, match=r"a new \.nii or \.nii\.gz file"):
            lower_dose(file, out, reduction)
    assert file.read_bytes() == before
    assert not (tmp_path / "out").exists()


class Darker(nn.Module):
    def forward(self, images):
        return images - 7.0


def test_a_volume_in_which_nobody_looked_for_padding_is_denoised_whole(both):
    volume = read_nifti(both[2])
    np.testing.assert_allclose(denoise(Darker(), replace(volume, padding=None)), volume.image_hu - 7.0)
    expected = np.where(volume.padding, volume.image_hu, volume.image_hu - 7.0)
    np.testing.assert_allclose(denoise(Darker(), volume), expected)


def test_the_output_path_is_a_path(both, tmp_path):
    out = lower_dose(both[2], tmp_path / "new" / "low.nii.gz", DoseReduction(dose_fraction=0.5, noise_hu=10))
    assert out == Path(tmp_path / "new" / "low.nii.gz")
    assert out.is_file()
