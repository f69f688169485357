"""Noise of the counts: moments against theory, seeds, dose and starvation. Random, seeded; alarm rates beside each."""

import numpy as np
import pytest
import torch

from taskct.scanner.noise import MIN_COUNTS, add_noise, line_integral_variance

N_DRAWS = 160_000


def draws(p, *, i0, electronic_noise, seed=0):
    return add_noise(torch.full((1, 400, N_DRAWS // 400), p), i0=i0, electronic_noise=electronic_noise, seeds=[seed])[0]


@pytest.mark.parametrize("sigma", [0.0, 40.0])
def test_mean_and_variance_of_a_line_integral(sigma):
    # With N photons and readout σ: variance (N + σ²)/N² and, by the logarithm's curvature, a mean higher by half of it.
    # False-alarm rate: 5 standard errors each, 6e-7, beside the next order of the expansion, under 3 variances².
    i0, p = 50_000.0, 3.0
    n_photons = i0 * np.exp(-p)
    variance = (n_photons + sigma**2) / n_photons**2
    measured = draws(p, i0=i0, electronic_noise=sigma).double()
    assert measured.var().item() == pytest.approx(variance, rel=5 * np.sqrt(2 / N_DRAWS) + 3 * variance)
    assert measured.mean().item() == pytest.approx(
        p + variance / 2, abs=5 * np.sqrt(variance / N_DRAWS) + 3 * variance**2
    )
    theory = line_integral_variance(torch.tensor([p], dtype=torch.float64), i0=i0, electronic_noise=sigma)
    assert theory.item() == pytest.approx(variance, rel=1e-9)


def test_variance_goes_as_one_over_the_dose():
    # False-alarm rate: 5 standard errors of a ratio of two variances, 6e-7, beside 1 % of higher order at 500 photons.
    full, tenth = (
        draws(0.0, i0=i0, electronic_noise=0.0, seed=s).double().var() for i0, s in [(5000.0, 1), (500.0, 2)]
    )
    assert (tenth / full).item() == pytest.approx(10.0, rel=5 * np.sqrt(4 / N_DRAWS) + 0.01)


def test_noise_does_not_depend_on_the_batch():
    p = torch.from_numpy(np.random.default_rng(0).uniform(0, 5, (4, 6, 50)).astype(np.float32))
    settings = {"i0": 1000.0, "electronic_noise": 5.0}
    together = add_noise(p, seeds=[7, 8, 9, 7], **settings)
    for i, seed in enumerate([7, 8, 9, 7]):
        torch.testing.assert_close(add_noise(p[i : i + 1], seeds=[seed], **settings)[0], together[i], rtol=0, atol=0)
    assert not torch.equal(add_noise(p, seeds=[1, 2, 3, 4], **settings), together)


@pytest.mark.parametrize("other", [4, 3 + 2**32, 3 + 2**62, 3 + 2**64])
def test_other_seeds_give_unrelated_noise(other):
    # torch's CPU generator drops all but a seed's low 32 bits, so seeds 2³² apart would share their noise.
    # The first rays are compared too: at different doses, shared streams of Poisson draws soon drift apart.
    # False-alarm rate: 5 standard errors of a correlation, 6e-7 each.
    a, b = (draws(2.0, i0=1e4, electronic_noise=3.0, seed=s).ravel() for s in (3, other))
    for n in (60, N_DRAWS):
        assert abs(np.corrcoef(a[:n], b[:n])[0, 1]) < 5 / np.sqrt(n)


def test_neighbouring_rays_are_independent():
    # False-alarm rate: 5 standard errors of a correlation, 6e-7.
    noise = draws(2.0, i0=1e4, electronic_noise=3.0).ravel()
    assert abs(np.corrcoef(noise[:-1], noise[1:])[0, 1]) < 5 / np.sqrt(N_DRAWS)


def test_a_starved_ray_stays_finite():
    noisy = add_noise(torch.tensor([[[0.0, 30.0, 200.0]]]), i0=1e5, electronic_noise=0.0, seeds=[0])
    assert torch.isfinite(noisy).all()
    assert noisy[0, 0, 1:].tolist() == pytest.approx([np.log(1e5 / MIN_COUNTS)] * 2)
    assert torch.isfinite(draws(12.0, i0=1e5, electronic_noise=10.0)).all()  # half of these counts are negative


def test_an_empty_batch_stays_empty_and_the_input_untouched():
    assert add_noise(torch.zeros(0, 4, 5), i0=10.0, electronic_noise=0.0, seeds=[]).shape == (0, 4, 5)
    p = torch.ones(1, 4, 5)
    add_noise(p, i0=10.0, electronic_noise=1.0, seeds=[0])
    assert torch.equal(p, torch.ones(1, 4, 5))


@pytest.mark.parametrize(
    "change",
    [{"seeds": [1, 2]}, {"seeds": [-1]}, {"i0": 0.0}, {"i0": float("nan")}, {"electronic_noise": -1.0}],
)
def test_misuse_is_refused(change):
    with pytest.raises(ValueError):
        add_noise(torch.zeros(1, 2, 3), **({"i0": 10.0, "electronic_noise": 0.0, "seeds": [1]} | change))
