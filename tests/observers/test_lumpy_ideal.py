"""The Markov chains against the matched filter, a sum by brute force, the Gaussian limit and the Hotelling observer."""

import numpy as np
import pytest

from taskct.errors import UserError
from taskct.metrics.roc import auc
from taskct.observers.lumpy_ideal import lumpy_log_likelihood_ratio
from taskct.tasks.backgrounds.textures import positive_lumps
from validation.ideal_observers import STRONG, TINY, WEAK, blob, brute_force, draw_lumpy, lumpy_hotelling


def auc_of(statistic, present):
    return auc(statistic[present], statistic[~present])


@pytest.mark.parametrize("nothing", [{"lump_hu": 0.0}, {"lumps_per_mm2": 0.0}])
def test_without_lumps_it_is_the_matched_filter(nothing):
    signal = 4.0 * blob(9, 1.5)
    images = 30.0 + draw_lumpy(20, 1, signal, **{**WEAK, "lump_hu": 0.0})[0]
    settings = {**WEAK, **nothing, "level_hu": 30.0, "n_steps": 1000}
    ideal = lumpy_log_likelihood_ratio(images, signal, **settings)
    expected = (images - 30.0 - signal / 2).reshape(20, -1) @ signal.ravel() / WEAK["noise_hu"] ** 2
    np.testing.assert_allclose(ideal.log_likelihood_ratio, expected, atol=1e-9)
    np.testing.assert_allclose(ideal.std_error, 0.0, atol=1e-9)
    np.testing.assert_allclose(ideal.halves, [expected, expected], atol=1e-9)


@pytest.fixture(scope="module")
def tiny():
    signal = 12.0 * blob(8, 1.2)
    images, _ = draw_lumpy(24, 2, signal, **TINY)
    return images, signal, lumpy_log_likelihood_ratio(images, signal, n_steps=20_000, **TINY)


def test_equals_the_sum_over_a_grid(tiny):
    images, signal, ideal = tiny
    exact = brute_force(images, signal, **TINY)
    np.testing.assert_allclose(exact, brute_force(images, signal, **TINY, step=0.6), atol=0.02)  # fine enough
    assert exact.std() > 1.0
    error = ideal.log_likelihood_ratio - exact
    # Over its estimate from 20 parts an error is Student's t with 19 degrees: one of 24 exceeds 6 with chance 2e-4.
    assert np.all(np.abs(error) < 6 * ideal.std_error + 0.02)
    # The estimate itself: the mean of 24 squares is 1.1 with a standard error of 0.3.
    assert np.mean((error / np.hypot(ideal.std_error, 0.01)) ** 2) < 2.6


def test_diagnostics(tiny):
    images, _, ideal = tiny
    assert ideal.log_likelihood_ratio.shape == ideal.std_error.shape == ideal.effective_samples.shape == (len(images),)
    assert ideal.halves.shape == (2, len(images))
    assert np.all((ideal.effective_samples > 5) & (ideal.effective_samples <= 4000))
    assert set(ideal.acceptance) == {"shift", "jump", "number"}
    assert all(0 < fraction < 1 for fraction in ideal.acceptance.values())
    # Each half errs √2 times as much, so their difference twice; the mean of 24 squares errs by a quarter.
    difference = ideal.halves[0] - ideal.halves[1]
    assert np.mean((difference / (2 * ideal.std_error)) ** 2) < 2.6


def test_the_number_of_lumps_follows_its_prior_where_the_image_says_nothing():
    from taskct.observers import lumpy_ideal

    chains = lumpy_ideal._Chains(
        lumpy_ideal.torch.zeros((400, 4, 4), dtype=lumpy_ideal.torch.float64),
        lumps_per_mm2=3.0 / 64,
        lump_sigma_mm=1.0,
        lump_hu=0.0,
        noise_hu=1.0,
        pixel_mm=1.0,
        margin_mm=2.0,
        generator=lumpy_ideal.torch.Generator().manual_seed(0),
    )
    chains.number[:] = 0
    for _ in chains.steps(0, 500):
        pass
    number = chains.number.numpy()
    # Poisson of mean 3: standard errors 0.087 of the mean and 0.23 of the variance; 5 of each: below 1e-6 each.
    assert abs(number.mean() - 3.0) < 0.43
    assert abs(number.var(ddof=1) - 3.0) < 1.15
    there = np.arange(chains.places.shape[1]) < number[:, None]
    places = chains.places.numpy()[there]
    assert np.all(np.abs(places) <= 4.0)
    assert abs(places.mean()) < 0.25  # uniform over 8 mm: standard error 0.047 for 1,200 places of two coordinates


def test_gaussian_limit():
    signal = 6.0 * blob(12, 1.5)
    images, present = draw_lumpy(60, 3, signal, **WEAK)
    ideal = lumpy_log_likelihood_ratio(images, signal, n_steps=8_000, **WEAK)
    gaussian = lumpy_hotelling(images, signal, **WEAK)
    # Two statistics that agree this closely rank all but a few pairs alike.
    assert np.corrcoef(ideal.log_likelihood_ratio, gaussian)[0, 1] > 0.98
    assert abs(auc_of(ideal.log_likelihood_ratio, present) - auc_of(gaussian, present)) < 0.02
    assert abs(np.mean(ideal.log_likelihood_ratio - gaussian)) < 0.15


def test_beats_the_hotelling_observer_where_lumps_are_seen_one_by_one():
    signal = 6.0 * blob(16, 2.0)
    images, present = draw_lumpy(200, 4, signal, **STRONG)
    ideal = lumpy_log_likelihood_ratio(images, signal, n_steps=5_000, **STRONG)
    hotelling = lumpy_hotelling(images, signal, **STRONG)
    # The gap is 0.17; the standard error of a paired difference of 200 trials is at most 0.05.
    assert auc_of(ideal.log_likelihood_ratio, present) > auc_of(hotelling, present) + 0.02


def test_the_ideal_likelihood_ratio_has_mean_1_without_a_signal():
    # E[Λ | H0] = 1 and E[Λ⁻¹ | H1] = 1 for any task; here on backgrounds that the package itself draws.
    n, noise = 400, 10.0
    lumps = {"lumps_per_mm2": 0.01, "lump_sigma_mm": 2.0, "lump_hu": 15.0}
    rng = np.random.default_rng(5)
    signal = 3.0 * blob(10, 1.5)
    background = positive_lumps(rng, n, n_pixels=10, pixel_mm=1.0, level_hu=20.0, **lumps)
    present = np.arange(n) % 2 == 0
    images = background + present[:, None, None] * signal + rng.normal(0.0, noise, background.shape)
    ideal = lumpy_log_likelihood_ratio(images, signal, noise_hu=noise, level_hu=20.0, n_steps=4_000, **lumps)
    t = ideal.log_likelihood_ratio
    for of_class in (np.exp(t[~present]), np.exp(-t[present])):
        # The mean of 200 such ratios within 5 of its standard errors: below 1e-5.
        assert abs(of_class.mean() - 1.0) < 5 * of_class.std(ddof=1) / np.sqrt(200)


def test_same_seed_same_answer_and_order_of_axes():
    signal = 12.0 * blob(8, 1.2, (2.0, 5.0))[:, :6]
    images, _ = draw_lumpy(4, 6, signal, **TINY)
    seen = []
    first = lumpy_log_likelihood_ratio(images, signal, n_steps=4000, progress=lambda *told: seen.append(told), **TINY)
    second = lumpy_log_likelihood_ratio(images, signal, n_steps=4000, **TINY)
    np.testing.assert_array_equal(first.log_likelihood_ratio, second.log_likelihood_ratio)
    assert seen[-1][:2] == (5000, 5000)
    turned = lumpy_log_likelihood_ratio(images.transpose(0, 2, 1), signal.T, n_steps=4000, seed=1, **TINY)
    # Another seed on transposed images: six standard errors of a difference.
    error = np.hypot(first.std_error, turned.std_error)
    assert np.all(np.abs(first.log_likelihood_ratio - turned.log_likelihood_ratio) < 6 * error + 0.02)
    assert lumpy_log_likelihood_ratio(images[:0], signal, n_steps=1000, **TINY).log_likelihood_ratio.shape == (0,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lump_sigma_mm": 0.0}, "lump_sigma_mm is 0"),
        ({"noise_hu": -1.0}, "noise_hu is -1"),
        ({"pixel_mm": 0.0}, "pixel_mm is 0"),
        ({"lumps_per_mm2": -0.1}, "lumps_per_mm2 is -0.1"),
        ({"margin_mm": -1.0}, "margin_mm is -1"),
        ({"n_steps": 10}, "at least 1000"),
    ],
)
def test_settings(settings, message):
    with pytest.raises(UserError, match=message):
        lumpy_log_likelihood_ratio(np.zeros((2, 8, 8)), np.ones((8, 8)), **{**TINY, **settings})


def test_bad_images():
    with pytest.raises(ValueError, match="images are"):
        lumpy_log_likelihood_ratio(np.zeros((2, 8, 7)), np.ones((8, 8)), **TINY)
    with pytest.raises(ValueError, match="not finite"):
        lumpy_log_likelihood_ratio(np.full((2, 8, 8), np.nan), np.ones((8, 8)), **TINY)


def test_a_short_burn_in_leaves_no_noise_of_its_own_in_the_samples(tiny):
    # The noise falls step by step: once it fell in blocks, samples of short burn-ins were drawn at ten times the noise.
    images, signal, long = tiny
    short = lumpy_log_likelihood_ratio(images, signal, n_steps=1000, n_burn_in=250, **TINY)
    error = np.sqrt(np.mean((short.log_likelihood_ratio - long.log_likelihood_ratio) ** 2))
    assert error < 0.4  # 4 Monte Carlo errors of so short a chain, 0.1; in blocks it was 0.65
    with pytest.raises(UserError, match="n_burn_in is -1"):
        lumpy_log_likelihood_ratio(images, signal, n_steps=1000, n_burn_in=-1, **TINY)
