"""Noise of the counts: moments against theory, seeds, dose and starvation. Random, seeded; alarm rates beside each."""

import numpy as np
import pytest
import torch
from scipy import stats

from discs import project_discs
from taskct.scanner.exposure import bowtie_transmission, tube_current
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.noise import (
    GAUSSIAN_FROM,
    MIN_COUNTS,
    STARVED,
    add_noise,
    draw_counts,
    line_integral_variance,
    starved_share,
    take_logarithm,
)
from taskct.scanner.units import MU_WATER_PER_MM

N_DRAWS = 160_000


def draws(p, *, i0, electronic_noise, seed=0):
    flat = torch.full((1, 400, N_DRAWS // 400), p)
    return add_noise(flat, i0=i0, electronic_noise=electronic_noise, seeds=[seed])[0]


@pytest.mark.parametrize("sigma", [0.0, 5.0])
@pytest.mark.parametrize("n_photons", [GAUSSIAN_FROM, 200.0])
def test_the_gaussian_draw_has_the_distribution_of_poisson_and_readout(monkeypatch, n_photons, sigma):
    # No randomness: the bent Gaussian at chosen quantiles against the exact distribution (scipy's Poisson, convolved
    # with the readout noise), at the half-integers where there is none.
    z = np.linspace(-6.0, 6.0, 40_001)
    monkeypatch.setattr(torch, "randn", lambda *_, **__: torch.from_numpy(z))
    generator = torch.Generator()
    values = draw_counts(
        torch.full((len(z),), n_photons, dtype=torch.float64), electronic_noise=sigma, generator=generator
    )
    values = values.numpy()
    k = np.arange(int(n_photons + 12 * np.sqrt(n_photons)))
    mass = stats.poisson.pmf(k, n_photons)
    at = k + 0.5 if sigma == 0 else np.linspace(values[0], values[-1], 400)
    exact = np.cumsum(mass) if sigma == 0 else mass @ stats.norm.cdf((at[None] - k[:, None]) / sigma)
    ours = stats.norm.cdf(np.interp(at, values, z))
    assert np.abs(ours - exact).max() < 2e-4
    weight = np.exp(-(z**2) / 2)
    weight /= weight.sum()
    nodes, readout = np.polynomial.hermite_e.hermegauss(60)
    counts, share = (k[:, None] + sigma * nodes).ravel(), (mass[:, None] * readout / readout.sum()).ravel()
    (mean, variance), (mean_exact, variance_exact) = (
        (w @ logarithm, w @ logarithm**2 - (w @ logarithm) ** 2)
        for w, logarithm in ((weight, np.log(values)), (share, np.log(np.maximum(counts, 1.0))))
    )
    assert mean == pytest.approx(mean_exact, abs=1e-6)
    assert variance == pytest.approx(variance_exact, rel=2e-4)


@pytest.mark.parametrize("n_photons", [0.5, 10.0])
def test_few_photons_are_poisson_exactly(n_photons):
    # χ² test over the counts. False-alarm rate 1e-6.
    expected = torch.full((N_DRAWS,), n_photons)
    counts = draw_counts(expected, electronic_noise=0.0, generator=torch.Generator().manual_seed(1)).numpy()
    top = int(stats.poisson.ppf(1 - 1e-4, n_photons))
    observed = np.bincount(np.minimum(counts.astype(int), top), minlength=top + 1)
    mass = np.append(stats.poisson.pmf(np.arange(top), n_photons), stats.poisson.sf(top - 1, n_photons))
    keep = mass * N_DRAWS > 10
    observed, mass = np.append(observed[keep], observed[~keep].sum()), np.append(mass[keep], mass[~keep].sum())
    observed, mass = observed[mass > 0], mass[mass > 0]
    assert (counts == np.round(counts)).all()
    assert stats.chisquare(observed, mass * N_DRAWS).pvalue > 1e-6


@pytest.mark.parametrize("sigma", [0.0, 40.0])
def test_mean_and_variance_of_a_line_integral(sigma):
    # With N photons and readout σ: variance V = (N + σ²)/N², and the mean without the V/2 of the logarithm's curvature,
    # which is taken away. False-alarm rate: 5 standard errors each, 6e-7, beside the next order, under 3 V².
    i0, p = 50_000.0, 3.0
    n_photons = i0 * np.exp(-p)
    variance = (n_photons + sigma**2) / n_photons**2
    measured = draws(p, i0=i0, electronic_noise=sigma).double()
    assert measured.var().item() == pytest.approx(variance, rel=5 * np.sqrt(2 / N_DRAWS) + 3 * variance)
    assert measured.mean().item() == pytest.approx(p, abs=5 * np.sqrt(variance / N_DRAWS) + 3 * variance**2)
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


def test_noise_does_not_depend_on_the_number_of_threads():
    p = torch.linspace(0.0, 9.0, 5 * 30 * 40).reshape(5, 30, 40)
    settings = {"i0": 1e4, "electronic_noise": 5.0, "seeds": range(5)}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = add_noise(p, **settings)
        torch.set_num_threads(3)
        torch.testing.assert_close(add_noise(p, **settings), alone, rtol=0, atol=0)
    finally:
        torch.set_num_threads(threads)


def test_photons_may_differ_by_ray_view_and_trial():
    # Every ray's variance is that of its own photons. False-alarm rate: 5 standard errors of each of 24, 1.4e-5.
    bowtie, current, repeats = torch.tensor([0.2, 0.5, 1.0]), torch.tensor([[0.5, 1.5], [1.0, 1.0]]), 150
    photons = 1e5 * bowtie * current[..., None]  # (2 trials, 2 views, 3 bins), each then in a block of its own
    i0 = photons.repeat_interleave(repeats, dim=1).repeat_interleave(repeats, dim=2)
    noisy = add_noise(torch.full(i0.shape, 2.0), i0=i0, electronic_noise=30.0, seeds=[0, 1]).double()
    blocks = noisy.reshape(2, 2, repeats, 3, repeats)
    theory = line_integral_variance(torch.tensor(2.0, dtype=torch.float64), i0=photons, electronic_noise=30.0)
    np.testing.assert_allclose(blocks.var(dim=(2, 4)), theory, rtol=5 * np.sqrt(2 / repeats**2) + 0.002)


def test_a_starved_ray_stays_finite():
    p = torch.tensor([[[0.0, 30.0, 200.0]]]).repeat(1, 1, 9)
    noisy = add_noise(p, i0=1e5, electronic_noise=0.0, seeds=[0])
    assert torch.isfinite(noisy).all()
    starved = draws(12.0, i0=1e5, electronic_noise=10.0)  # half of these counts are negative
    assert torch.isfinite(starved).all()


def test_an_exponential_slope_of_starved_rays_is_not_flattened():
    # Without noise, counts that fall by 30 % a bin and views keep their line integrals, though their mean does not.
    view, bin_ = torch.meshgrid(torch.arange(20.0), torch.arange(40.0), indexing="ij")
    p = (6.0 + 0.3 * bin_ - 0.1 * view)[None].double()
    counts = 20.0 * torch.exp(-p + 12.0)
    read = take_logarithm(counts, i0=20.0 * np.exp(12.0), electronic_noise=0.0, noise_share=0.0)
    inner = (slice(None), slice(2, -2), slice(8, 22))  # above MIN_COUNTS, and away from the repeated edges
    assert counts[inner].min() < 1 / STARVED**2
    torch.testing.assert_close(read[inner], p[inner], rtol=0, atol=1e-6)


def test_a_starved_arm_does_not_move_the_liver():
    # Arms beside the body: the lateral path reaches 9.2. At 25,000 photons, bowtie and tube current leave 8 photons
    # and a readout noise of 5 there. The plain logarithm is off by several HU, the treatment of low counts within 1.
    # False-alarm rate: the mean of 960 trials was 0.01 ± 0.09 HU and 5.0 ± 0.2 HU, so 240 trials have a standard error
    # of 0.18 and 0.32 HU: 5 of them, 6e-7.
    geometry = ScanGeometry(595.0, 1085.6, n_bins=368, bin_mm=2.9, views_per_turn=240)
    parts = np.array([(0, 0, 290, 1), (-190, 20, 70, 1), (190, 20, 70, 1), (-190, 20, 10, 1.05), (190, 20, 10, 1.05)])
    x, y, diameter, mu = parts.T
    discs = project_discs(geometry, x_mm=x, y_mm=y, diameter_mm=diameter, mu=mu * MU_WATER_PER_MM)
    p = torch.from_numpy(discs.sum(axis=0, keepdims=True))
    assert p.max().item() == pytest.approx(9.2, abs=0.05)
    bowtie = bowtie_transmission(geometry, diameter_mm=290.0)
    i0 = 2.5e4 * bowtie * tube_current(p, 0.5)[..., None]
    liver = FBP(geometry, center_mm=(-50.0, 0.0), n_pixels=20, pixel_mm=5.0)
    many = p.expand(240, -1, -1)
    treated = add_noise(many, i0=i0, electronic_noise=5.0, seeds=range(240))
    counts = draw_counts(i0 * torch.exp(-many), electronic_noise=5.0, generator=torch.Generator().manual_seed(0))
    plain = -torch.log(counts.clamp(min=MIN_COUNTS) / i0)

    def bias_hu(noisy):
        # Reconstruction is linear: the mean error of the sinograms gives the mean error of the images.
        (error,) = liver.reconstruct((noisy - p).mean(dim=0, keepdim=True)) * 1000.0 / MU_WATER_PER_MM
        return error.mean().item()

    assert abs(bias_hu(treated)) <= 1.0
    assert bias_hu(plain) > 3.0


def test_an_empty_batch_stays_empty_and_the_input_untouched():
    assert add_noise(torch.zeros(0, 4, 5), i0=10.0, electronic_noise=0.0, seeds=[]).shape == (0, 4, 5)
    p = torch.ones(1, 4, 5)
    add_noise(p, i0=10.0, electronic_noise=1.0, seeds=[0])
    assert torch.equal(p, torch.ones(1, 4, 5))


@pytest.mark.parametrize(
    "change",
    [
        {"seeds": [1, 2]},
        {"seeds": [-1]},
        {"i0": 0.0},
        {"i0": float("nan")},
        {"i0": torch.ones(5)},
        {"i0": torch.tensor([1.0, 0.0, 1.0])},
        {"electronic_noise": -1.0},
    ],
)
def test_misuse_is_refused(change):
    with pytest.raises(ValueError):
        add_noise(torch.zeros(1, 2, 3), **({"i0": 10.0, "electronic_noise": 0.0, "seeds": [1]} | change))


def test_the_shares_of_starved_and_lost_rays_are_those_of_the_definition():
    """Without readout noise √N/N > 0.2 below 25 photons, and 1/√(27 N) > 1 below 1/27; air is not lost."""
    counts = torch.tensor([[25.1, 24.9, 0.04, 0.03], [1e3, 1e3, 1e3, 0.03]])[:, None]
    starved, lost = starved_share(-torch.log(counts / 1e4), i0=1e4, electronic_noise=0.0)
    assert starved.tolist() == [0.75, 0.25]
    assert lost.tolist() == pytest.approx([0.25, 0.25])
    air = torch.zeros(1, 2, 3)
    starved, lost = starved_share(air, i0=1e-6, electronic_noise=10.0)
    assert (starved.item(), lost.item()) == (1.0, 0.0)
    # With a readout noise of 10 photons a count varies by a fifth at N = (1 + √17)/0.08 = 64.04.
    near = torch.tensor([[[64.0, 64.1]]])
    assert starved_share(-torch.log(near / 1e4), i0=1e4, electronic_noise=10.0)[0].item() == 0.5
