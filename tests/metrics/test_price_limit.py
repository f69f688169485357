"""The limit of principle of a price, against an optimisation over all linear changes and simulated Gaussian trials."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr
from scipy.stats import norm

from taskct.metrics import auc, delong_interval
from taskct.metrics.price_limit import ControlReading, energy_of_price, frozen_price_limit, refitted_price_limit
from taskct.testing.gaussian import GaussianTask, correlated_task

Floats = NDArray[np.float64]
NOISE_HU = 2.0
SILENT = 2  # pixels that the control leaves empty


def as_control(task: GaussianTask) -> tuple[Floats, Floats, Floats]:
    """A linear control A g: a Wiener filter that leaves the last pixels empty; A, its signal, its covariance."""
    smooth = task.covariance - 60.0 * np.eye(task.signal.size)
    filter_ = smooth @ np.linalg.inv(task.covariance)
    filter_[-SILENT:] = 0.0
    return filter_, filter_ @ task.signal.ravel(), filter_ @ task.covariance @ filter_.T


def reading_of(template: Floats, signal: Floats, covariance: Floats) -> ControlReading:
    """Exact reading of a template of length 1."""
    return ControlReading(float(template @ signal), float(np.sqrt(template @ covariance @ template)), NOISE_HU)


@pytest.fixture(scope="module")
def task() -> GaussianTask:
    """8 × 8 pixels, an ideal AUC of 0.79."""
    return correlated_task()


@pytest.fixture(scope="module")
def template(task: GaussianTask) -> Floats:
    """That of the Hotelling observer with noise on the control's images."""
    _, signal, covariance = as_control(task)
    weights = np.linalg.solve(covariance + NOISE_HU**2 * np.eye(len(signal)), signal)
    return np.asarray(weights / np.linalg.norm(weights))


def auc_of_change(task: GaussianTask, v: Floats, change: Floats) -> tuple[float, float]:
    """Exact AUC of the template v of unit length on A g + v changeᵀ(g − E g), and the change's energy, HU²."""
    filter_, _, _ = as_control(task)
    s, weights = task.signal.ravel(), filter_.T @ v + change
    snr = weights @ s / np.sqrt(weights @ task.covariance @ weights + NOISE_HU**2)
    return float(norm.cdf(snr / np.sqrt(2.0))), float(change @ task.covariance @ change + (change @ s) ** 2 / 4.0)


@pytest.mark.parametrize("energy", [0.0, 1.0, 10.0, 100.0])
def test_no_linear_change_gives_a_frozen_observer_more(task: GaussianTask, template: Floats, energy: float) -> None:
    _, signal, covariance = as_control(task)
    told = frozen_price_limit(reading_of(template, signal, covariance), task.ideal_auc, energy)

    def loss(change: Floats) -> float:
        _, used = auc_of_change(task, template, change)
        return -auc_of_change(task, template, change * np.sqrt(energy / max(used, 1e-12)))[0]

    start = np.linalg.solve(task.covariance, task.signal.ravel())
    found = -minimize(loss, start, method="L-BFGS-B", options={"maxiter": 500, "maxfun": 100_000}).fun
    assert found == pytest.approx(told, abs=2e-5)


@pytest.mark.parametrize("energy", [1.0, 10.0])
def test_no_linear_change_and_no_template_do_better_with_an_empty_pattern(
    task: GaussianTask, template: Floats, energy: float
) -> None:
    """The template in the plane of the control's and an empty pixel, the change any."""
    _, signal, covariance = as_control(task)
    told = refitted_price_limit(reading_of(template, signal, covariance), task.ideal_auc, energy)
    empty = np.zeros(len(template))
    empty[-1] = 1.0
    flat = template * (np.arange(len(template)) < len(template) - SILENT)
    flat /= np.linalg.norm(flat)

    def loss(parameters: Floats) -> float:
        v = np.cos(parameters[0]) * flat + np.sin(parameters[0]) * empty
        _, used = auc_of_change(task, v, parameters[1:])
        return -auc_of_change(task, v, parameters[1:] * np.sqrt(energy / max(used, 1e-12)))[0]

    ideal = np.linalg.solve(task.covariance, task.signal.ravel())
    found = max(
        -minimize(loss, [turn, *ideal], method="L-BFGS-B", options={"maxiter": 500, "maxfun": 100_000}).fun
        for turn in (0.1, 0.7)
    )
    assert found == pytest.approx(told, abs=2e-5)
    assert told >= frozen_price_limit(reading_of(template, signal, covariance), task.ideal_auc, energy)


def test_simulated_trials_reach_the_limit_at_its_energy(task: GaussianTask, template: Floats) -> None:
    """A mark in an empty pixel that tells the ideal decision; false alarm 1 in 10,000."""
    energy, n = 40.0, 20_000
    images, present = task.draw(n, seed=3)
    pixels = images.reshape(n, -1).astype(float)
    ideal = (pixels - pixels.mean(axis=0)) @ np.linalg.solve(task.covariance, task.signal.ravel())
    filter_, signal, covariance = as_control(task)
    change = np.zeros_like(pixels)
    change[:, -1] = ideal * np.sqrt(energy / np.mean(ideal**2))
    changed = pixels @ filter_.T + change
    reading = reading_of(template, signal, covariance)
    told = refitted_price_limit(reading, task.ideal_auc, float(np.mean(np.sum(change**2, axis=1))))
    rng = np.random.default_rng(4)

    def auc_at(turn: float) -> tuple[Floats, Floats]:
        v = np.cos(turn) * template
        v[-1] = np.sin(turn)
        statistic = changed @ v + NOISE_HU * rng.standard_normal(n)
        return statistic[present], statistic[~present]

    best = max((auc_at(turn) for turn in np.linspace(0.0, np.pi / 2, 31)), key=lambda t: auc(*t))
    interval = delong_interval(*best, confidence=0.9999)
    # Cancelling noise of the control besides gives the rest, which is small here.
    assert interval.ci_low - 0.002 < told < interval.ci_high + 0.004


def test_between_the_control_and_the_ideal_observer() -> None:
    reading = ControlReading(6.0, 4.0, 4.0)
    assert frozen_price_limit(reading, 0.92, 0.0) == pytest.approx(float(ndtr(6.0 / np.sqrt(2.0 * 32.0))))
    assert refitted_price_limit(reading, 0.92, 0.0) == frozen_price_limit(reading, 0.92, 0.0)
    assert refitted_price_limit(reading, 0.92, 1e9) == pytest.approx(0.92, abs=1e-6)
    rising = [refitted_price_limit(reading, 0.92, energy) for energy in (0.0, 1.0, 10.0, 100.0, 1000.0)]
    assert rising == sorted(rising)


def test_a_template_turns_to_an_empty_pattern_where_the_control_varies_much() -> None:
    reading = ControlReading(6.0, 8.0, 1.0)
    assert refitted_price_limit(reading, 0.92, 10.0) > frozen_price_limit(reading, 0.92, 10.0) + 0.05


def test_reading_of_trials_is_that_of_a_template_of_length_1() -> None:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((4000, 3, 3)) * 5.0
    present = np.arange(4000) % 2 == 0
    images[present] += 4.0
    template = np.full((3, 3), 0.5)
    t = np.einsum("nij,ij->n", images, template)
    reading = ControlReading.of(t[present], t[~present], template, internal_std=3.0)
    assert reading.separation_hu == pytest.approx(12.0, abs=5.0 * 0.16)  # 4 HU in 9 pixels; 5 standard errors
    assert reading.std_hu == pytest.approx(5.0, abs=5.0 * 0.056)
    assert reading.noise_hu == pytest.approx(2.0)


def test_energy_is_that_of_the_price_in_rmse() -> None:
    assert energy_of_price(0.1, 9.0, 100) == pytest.approx(0.21 * 900.0)
    assert energy_of_price(0.1, 9.0, 100, share=0.25) == pytest.approx(0.21 * 225.0)


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="above 0 HU"):
        ControlReading(0.0, 1.0, 0.0)
    with pytest.raises(ValueError, match="price"):
        energy_of_price(-0.1, 9.0, 100)
    with pytest.raises(ValueError, match="ideal_auc"):
        frozen_price_limit(ControlReading(1.0, 1.0, 0.0), 1.0, 1.0)
    with pytest.raises(ValueError, match="the ideal observer's"):
        frozen_price_limit(ControlReading(6.0, 2.0, 0.0), 0.8, 1.0)
    with pytest.raises(ValueError, match="noise_hu is 0"):
        refitted_price_limit(ControlReading(6.0, 4.0, 0.0), 0.92, 1.0)
