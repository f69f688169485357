"""The twin of a phantom, scanned and reconstructed by taskct itself, is found where it was put."""

import numpy as np
import pytest
import torch

from taskct.apply.phantom import find_layout, find_phantom, rod_contrasts, rod_trials
from taskct.config import make_settings
from taskct.simulation import Scanner, make_sources

CCT189 = find_layout("cct189")
WHOLE = {
    "background": {"kind": "phantom", "layout": "cct189", "rods": True, "region_hu": [-1100, 3000]},
    "signal": {"shape": "disc", "diameter_mm": [10, 10], "contrast_hu": [8, 8], "site": "list", "sites_mm": [[0, 40]]},
    "scanner": {"n_views": 360, "n_bins": 440, "exposure": "noise", "noise_body_mm": 200, "dose_fraction": 1},
    "trials": {"n_train": 4, "n_validation": 4, "n_fresh": 8, "n_test": 8, "region_pixels": 216, "margin_pixels": 0},
}
RODS, UNIFORM = {}, {"background": {"rods": False}}
N = 6


def scans(*changes):
    """Whole images of the twin without a signal, `(n, 216, 216)`, with noise and without."""
    settings = make_settings(WHOLE, {"scanner": {"noise_hu": 3}}, *changes)
    scanner = Scanner(settings, torch.device("cpu"))
    index, once, absent = np.arange(N), np.ones(N, dtype=np.int64), np.zeros(N, dtype=bool)
    made = scanner.scan(make_sources(settings)["test"], np.random.default_rng(5), index, once, absent)
    return np.asarray(made.trials.noisy), np.asarray(made.trials.reference)


def test_the_twin_is_found_and_its_rods_have_their_contrast() -> None:
    """The isocentre is the middle of the image; without noise bins and kernel alone blur the rods, by a pixel."""
    noisy, exact = scans(RODS)
    found = find_phantom(noisy, CCT189, pixel_mm=1.0)
    assert found.centre_px == pytest.approx((107.5, 107.5), abs=0.03)
    assert found.radius_px == pytest.approx(100.0, abs=0.1)
    assert found.roll_deg == pytest.approx(0.0, abs=1.0)
    for one in rod_contrasts(exact[:1], find_phantom(exact[:1], CCT189, pixel_mm=1.0)):
        kept = one.contrast_hu / one.rod.contrast_hu
        assert 0.55 < kept < 0.9 if one.rod.diameter_mm <= 5.0 else kept == pytest.approx(0.95, abs=0.05)


def test_regions_of_the_twin_differ_by_the_rods_alone() -> None:
    """Without noise, the mean of regions with a rod less that of regions without adds up to its contrast times area."""
    _, exact = scans(RODS)
    _, uniform = scans(UNIFORM)
    found = find_phantom(exact[:1], CCT189, pixel_mm=1.0)
    for trials in rod_trials(exact[:2], uniform[:2], CCT189, pixel_mm=1.0, found=found):
        signal = trials.images[trials.signal_present].mean(axis=0) - trials.images[~trials.signal_present].mean(axis=0)
        mass = trials.rod.contrast_hu * np.pi * trials.rod.diameter_mm**2 / 4.0
        assert signal.sum() == pytest.approx(mass, rel=0.1)
