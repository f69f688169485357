"""A lower dose in an existing series: its noise against prediction, and what stays as it was."""

import numpy as np
import pytest
import torch

from dicom_files import save_series
from taskct.apply.lower_dose import DoseReduction, lower_dose
from taskct.errors import UserError
from taskct.io.dicom import read_series
from taskct.scanner.exposure import i0_for_noise, middle_weights, noise_hu
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.kernels import KERNELS
from taskct.scanner.presets import SCANNERS
from taskct.scanner.projector import Projector
from taskct.scanner.units import hu_to_mu

N, PIXEL_MM = 64, 5.0
AXIS = (np.arange(N) - (N - 1) / 2) * PIXEL_MM
TAGS = {"RescaleSlope": 1, "RescaleIntercept": 0, "PixelSpacing": [PIXEL_MM, PIXEL_MM]}


def body():
    return np.where((AXIS[None, :] / 140) ** 2 + (AXIS[:, None] / 100) ** 2 < 1, 40, -1000).astype(np.int16)


def added(tmp_path, n=12, **options):
    source, out = tmp_path / "ct", tmp_path / "low"
    save_series(source, n=n, stored=body(), **TAGS)
    lower_dose(source, out, DoseReduction(**{"dose_fraction": 0.1, "noise_hu": 10, **options}))
    return read_series(out).image_hu - read_series(source).image_hu


@pytest.mark.parametrize("model", ["siemens-definition-as", "siemens-force"])
def test_the_noise_is_that_of_the_models_own_views(tmp_path, model):
    """Views are merged to save time; photons and readout noise of all of them must still count."""
    middle = added(tmp_path, n=24, model=model, electronic_noise=20)[:, 29:35, 29:35]
    geometry = ScanGeometry(**SCANNERS[model].geometry)
    fbp = FBP(geometry, n_pixels=N, pixel_mm=PIXEL_MM, window=KERNELS["soft"].window, cutoff=KERNELS["soft"].cutoff)
    image = hu_to_mu(torch.from_numpy(body().astype(np.float32))[None])
    lines = Projector(geometry, n_pixels=N, pixel_mm=PIXEL_MM).project(image)
    current = torch.softmax(0.5 * lines.amax(dim=-1), dim=-1)[0, :, None] * geometry.n_views
    weights = middle_weights(fbp)
    full = i0_for_noise(10.0, weights, lines[0], electronic_noise=20, relative=current)
    low = noise_hu(weights, lines[0], i0=0.1 * full * current, electronic_noise=20)
    # 24 slices of 36 nearly independent pixels: the standard deviation scatters by 2.5 %; four of that.
    assert np.hypot(middle.std(), 10.0) == pytest.approx(low, rel=0.1)


def test_slices_have_noise_of_their_own_and_the_seed_gives_it_again(tmp_path):
    first = added(tmp_path / "a")
    inside = body() > 0
    one, other = first[3][inside], first[4][inside]
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.2  # some 560 pixels: 4.7 standard errors
    np.testing.assert_array_equal(added(tmp_path / "b"), first)
    assert not np.array_equal(added(tmp_path / "c", seed=1), first)


def test_a_sharp_kernels_noise_is_finer(tmp_path):
    def neighbours(noise):
        inside = noise[:, 24:40, 22:42]
        return np.corrcoef(inside[:, :, 1:].ravel(), inside[:, :, :-1].ravel())[0, 1]

    assert neighbours(added(tmp_path / "sharp", kernel="ram-lak")) < neighbours(added(tmp_path / "soft")) - 0.02


def test_the_current_follows_the_body(tmp_path):
    """Modulated, the noise behind the long way falls against that behind the short one: streaks along x fade."""

    def along_x_over_y(noise):
        inside = noise[:, 24:40, 24:40]
        x, y = np.diff(inside, axis=2).var(), np.diff(inside, axis=1).var()
        return x / y

    constant, modulated = (along_x_over_y(added(tmp_path / str(s), tube_modulation=s)) for s in (0.0, 1.0))
    assert constant < modulated


def test_padding_stays(tmp_path):
    stored = body()
    stored[:4] = -2000
    source, out = tmp_path / "ct", tmp_path / "low"
    save_series(source, n=3, stored=stored, **TAGS, PixelRepresentation=1, PixelPaddingValue=-2000)
    lower_dose(source, out, DoseReduction(0.1, 10))
    series = read_series(out)
    assert series.padding[:, :4].all()
    assert not series.padding[:, 4:].any()


def test_a_dose_that_starves_the_rays_is_told_or_refused(tmp_path):
    with pytest.warns(UserWarning, match=r"\d+ % of the rays of an object are starved"):
        added(tmp_path / "low", n=1, dose_fraction=2e-3)
    with pytest.raises(UserError, match="dose fraction of 1e-09 leaves nothing of an image"):
        added(tmp_path / "none", n=1, dose_fraction=1e-9)
    assert not (tmp_path / "none" / "low").exists()
