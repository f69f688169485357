"""HU and linear attenuation: fixed points and the round trip."""

import numpy as np
import pytest
import torch

from taskct.scanner.units import MU_WATER_PER_MM, hu_to_mu, mu_to_hu

HU = np.linspace(-1024.0, 3071.0, 1001)


@pytest.mark.parametrize("mu_water", [MU_WATER_PER_MM, 0.0192])
def test_the_fixed_points_are_vacuum_and_water(mu_water):
    hu = np.array([-1000.0, 0.0, 1000.0])
    np.testing.assert_allclose(hu_to_mu(hu, mu_water), [0.0, mu_water, 2.0 * mu_water], rtol=1e-12)
    np.testing.assert_allclose(mu_to_hu(np.array([0.0, mu_water]), mu_water), [-1000.0, 0.0], atol=1e-9)


def test_water_is_nists_at_60_kev():
    mass_attenuation_cm2_per_g, density_g_per_cm3, mm_per_cm = 0.2059, 1.0, 10.0
    assert pytest.approx(mass_attenuation_cm2_per_g * density_g_per_cm3 / mm_per_cm) == MU_WATER_PER_MM


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_round_trip_of_an_array(dtype):
    hu = HU.astype(dtype)
    back = mu_to_hu(hu_to_mu(hu))
    assert back.dtype == dtype
    np.testing.assert_allclose(back, hu, atol=1e-9 if dtype == np.float64 else 1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_round_trip_of_a_tensor_and_agreement_with_numpy(dtype):
    hu = torch.from_numpy(HU).to(dtype)
    mu = hu_to_mu(hu)
    assert mu.dtype == dtype
    torch.testing.assert_close(mu_to_hu(mu), hu, rtol=0, atol=1e-3)
    np.testing.assert_allclose(mu.numpy(), hu_to_mu(HU), atol=1e-8)
