"""How close the CNN observer and the Markov chains come to ideal observers that are known otherwise."""

import numpy as np
from scipy.stats import f as f_distribution
from scipy.stats import norm

from taskct.metrics.roc import auc, paired_delong
from taskct.observers import Hotelling
from taskct.observers.cnn import CNNObserver
from taskct.observers.lumpy_ideal import LumpyImages, lumpy_log_likelihood_ratio
from validation.check import Check


def offsets(n_pixels, centre):
    """Rows and columns of a square image relative to a centre, shape `(n_pixels², 2)`."""
    axis = np.arange(n_pixels, dtype=float)
    return np.stack(np.meshgrid(axis - centre[0], axis - centre[1], indexing="ij"), axis=-1).reshape(-1, 2)


def blob(n_pixels, sigma, centre=None):
    """A Gaussian signal of peak 1, `(n_pixels, n_pixels)`; None: in the middle."""
    centre = ((n_pixels - 1) / 2,) * 2 if centre is None else centre
    return np.exp(-(offsets(n_pixels, centre) ** 2).sum(-1) / (2 * sigma**2)).reshape(n_pixels, n_pixels)


def gaussian_covariance(n_pixels, variance, sigma):
    """Covariance variance · exp(−d² / 2σ²), `(n_pixels², n_pixels²)`."""
    points = offsets(n_pixels, (0, 0))
    distance2 = ((points[:, None] - points[None]) ** 2).sum(-1)
    return variance * np.exp(-distance2 / (2 * sigma**2))


class KnownSignal:
    """A signal known exactly in Gaussian noise, on a level of 40 HU, scaled to an ideal AUC."""

    def __init__(self, signal, covariance, ideal_auc):
        flat = signal.ravel()
        snr2 = flat @ np.linalg.solve(covariance, flat)
        self.ideal_auc = ideal_auc
        self.signal = signal * norm.ppf(ideal_auc) * np.sqrt(2.0 / snr2)
        self.template = np.linalg.solve(covariance, self.signal.ravel())
        self.factor = np.linalg.cholesky(covariance).T.astype(np.float32)

    def draw(self, n, seed, *, random_sign=False):
        rng = np.random.default_rng(seed)
        present = np.arange(n) % 2 == 0
        noise = rng.standard_normal((n, self.signal.size), dtype=np.float32) @ self.factor
        sign = rng.choice([-1.0, 1.0], n) if random_sign else np.ones(n)
        images = 40.0 + noise.reshape(n, *self.signal.shape) + (present * sign)[:, None, None] * self.signal
        return images.astype(np.float32), present

    def random_sign_statistic(self, images):
        """Monotonic in the likelihood ratio cosh(wᵀg) of a signal of either sign."""
        return np.abs((images - 40.0).reshape(len(images), -1) @ self.template)


def white_task(n_pixels=16, ideal_auc=0.85):
    return KnownSignal(blob(n_pixels, 2.0, (7.5, 8.5)), 400.0 * np.eye(n_pixels**2), ideal_auc)


def coloured_task(n_pixels=16, ideal_auc=0.85):
    covariance = gaussian_covariance(n_pixels, 300.0, 3.0) + 100.0 * np.eye(n_pixels**2)
    return KnownSignal(blob(n_pixels, 2.0, (7.5, 8.5)), covariance, ideal_auc)


def variance_ratio(n_pixels, ideal_auc):
    """Ratio of the variances of two kinds of white noise that the energy ‖g‖² tells apart with a given AUC.

    ‖g‖² is the ideal statistic and χ² in both classes, so the AUC is P(F > 1 / ratio).
    """
    degrees = n_pixels**2
    return 1.0 / f_distribution.isf(ideal_auc, degrees, degrees)


def draw_variances(n, seed, *, n_pixels=16, ideal_auc=0.9):
    """White noise of two variances about 40 HU: the means say nothing."""
    rng = np.random.default_rng(seed)
    present = np.arange(n) % 2 == 0
    std = 20.0 * np.where(present, np.sqrt(variance_ratio(n_pixels, ideal_auc)), 1.0)
    return (40.0 + std[:, None, None] * rng.standard_normal((n, n_pixels, n_pixels))).astype(np.float32), present


def draw_lumpy(n, seed, signal, *, lumps_per_mm2, lump_sigma_mm, lump_hu, noise_hu, margin_mm=None):
    """Lumpy trials on pixels of 1 mm, drawn lump by lump; independent of the package's own backgrounds."""
    rng = np.random.default_rng(seed)
    height, width = signal.shape
    margin = 4 * lump_sigma_mm if margin_mm is None else margin_mm
    present = np.arange(n) % 2 == 0
    images = rng.normal(0.0, noise_hu, (n, height, width))
    y, x = np.mgrid[:height, :width]
    for i, number in enumerate(rng.poisson(lumps_per_mm2 * (height + 2 * margin) * (width + 2 * margin), n)):
        rows = rng.uniform(-0.5 - margin, height - 0.5 + margin, number)
        columns = rng.uniform(-0.5 - margin, width - 0.5 + margin, number)
        for row, column in zip(rows, columns, strict=True):
            images[i] += lump_hu * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * lump_sigma_mm**2))
        images[i] += present[i] * signal
    return images, present


def lumpy_hotelling(images, signal, *, lumps_per_mm2, lump_sigma_mm, lump_hu, noise_hu):
    """ln Λ as if lumpy trials were Gaussian: the matched filter with their exact mean and covariance."""
    variance = lumps_per_mm2 * lump_hu**2 * np.pi * lump_sigma_mm**2
    covariance = gaussian_covariance(len(signal), variance, np.sqrt(2.0) * lump_sigma_mm)
    template = np.linalg.solve(covariance + noise_hu**2 * np.eye(signal.size), signal.ravel())
    mean = lumps_per_mm2 * lump_hu * 2 * np.pi * lump_sigma_mm**2
    return (images - mean - signal / 2).reshape(len(images), -1) @ template


def brute_force(images, signal, *, lumps_per_mm2, lump_sigma_mm, lump_hu, noise_hu, margin_mm, step=0.4):
    """ln Λ by summing the likelihood over a grid of places of 0 to 3 lumps, pixels of 1 mm.

    With w a lump's own factor of the likelihood and M the factor of a pair, three lumps give
    Σ wᵢ wⱼ wₖ Mᵢⱼ Mⱼₖ Mᵢₖ, which is Σ (M ∘ (M diag(w) M))ᵢⱼ wᵢ wⱼ.
    """
    height, width = signal.shape
    sides = height + 2 * margin_mm, width + 2 * margin_mm
    grids = [-0.5 - margin_mm + side * (np.arange(n := round(side / step)) + 0.5) / n for side in sides]
    rows, columns = (
        np.exp(-((np.arange(n) - grid[:, None]) ** 2) / (2 * lump_sigma_mm**2))
        for n, grid in zip((height, width), grids, strict=True)
    )
    lumps = lump_hu * (rows[:, None, :, None] * columns[None, :, None, :]).reshape(-1, height * width)
    overlap = lumps @ lumps.T
    pair = np.exp(-overlap / noise_hu**2)
    density = lumps_per_mm2 * sides[0] * sides[1] / len(lumps)

    def log_likelihood(residual):
        """Up to what both hypotheses share."""
        w = density * np.exp((lumps @ residual - np.diag(overlap) / 2) / noise_hu**2)
        two, three = w @ pair @ w, w @ (pair * ((pair * w) @ pair)) @ w
        return np.log(1 + w.sum() + two / 2 + three / 6) - residual @ residual / (2 * noise_hu**2)

    flat = images.reshape(len(images), -1)
    return np.array([log_likelihood(g - signal.ravel()) - log_likelihood(g) for g in flat])


TINY = {"lumps_per_mm2": 0.4 / 12**2, "lump_sigma_mm": 1.5, "lump_hu": 20.0, "noise_hu": 12.0, "margin_mm": 2.0}
"""0.4 lumps in an image of 8 × 8 pixels; four or more come in one of 1,300."""
WEAK = {"lumps_per_mm2": 0.1, "lump_sigma_mm": 2.0, "lump_hu": 2.0, "noise_hu": 10.0}
"""About 80 weak lumps on 12 × 12 pixels: nearly Gaussian, and as strong as the noise in low frequencies."""
STRONG = {"lumps_per_mm2": 0.004, "lump_sigma_mm": 2.5, "lump_hu": 40.0, "noise_hu": 10.0}
"""About 5 strong lumps on 16 × 16 pixels, which an observer can see one by one."""
TINY_IMAGES, WEAK_IMAGES, STRONG_IMAGES = (LumpyImages(**settings) for settings in (TINY, WEAK, STRONG))


def aucs(present, *statistics):
    return [auc(t[present], t[~present]) for t in statistics]


def checks() -> list[Check]:
    """Rows on the CNN observer and on the Markov chains."""
    rows = []
    for name, task in (("white", white_task()), ("coloured", coloured_task())):
        observer = CNNObserver().fit(*task.draw(10_000, seed=1))
        images, present = task.draw(40_000, seed=2)
        (measured,) = aucs(present, observer.test_statistic(images))
        rows.append(
            Check(
                f"CNN observer, SKE in {name} Gaussian noise, 16² pixels, 10,000 training trials: AUC",
                low=task.ideal_auc - 0.01 - 0.008,
                high=task.ideal_auc + 0.008,
                measured=measured,
                expected=task.ideal_auc,
                basis="within 0.01 of the ideal, and 4 standard errors of 40,000 test trials (0.002 each)",
            )
        )
    fitted_images, fitted_present = draw_variances(20_000, seed=3)
    images, present = draw_variances(40_000, seed=4)
    network = CNNObserver().fit(fitted_images, fitted_present)
    hotelling = Hotelling().fit(fitted_images, fitted_present)
    cnn_auc, ho_auc = aucs(present, network.test_statistic(images), hotelling.test_statistic(images))
    rows += [
        Check(
            "CNN observer, white noise of two variances, 16² pixels, 20,000 training trials: AUC",
            low=0.9 - 0.01 - 0.007,
            high=0.9 + 0.007,
            measured=cnn_auc,
            expected=0.9,
            basis="within 0.01 of the ideal (‖g‖², χ²), and 4 standard errors of 40,000 test trials (0.0016 each)",
        ),
        Check(
            "the same task, Hotelling observer: AUC",
            low=0.5 - 0.012,
            high=0.5 + 0.012,
            measured=ho_auc,
            expected=0.5,
            basis="the means say nothing; 4 standard errors of 40,000 test trials (0.003 each)",
        ),
    ]
    return rows + _chain_checks()


def _chain_checks():
    signal = 12.0 * blob(8, 1.2)
    images, _ = draw_lumpy(40, 5, signal, **TINY)
    chains = lumpy_log_likelihood_ratio(images, signal, TINY_IMAGES, n_steps=20_000)
    error = chains.log_likelihood_ratio - brute_force(images, signal, **TINY)
    weak_signal = 6.0 * blob(12, 1.5)
    weak_images, weak_present = draw_lumpy(300, 6, weak_signal, **WEAK)
    weak = lumpy_log_likelihood_ratio(weak_images, weak_signal, WEAK_IMAGES, n_steps=20_000).log_likelihood_ratio
    gaussian = lumpy_hotelling(weak_images, weak_signal, **WEAK)
    weak_auc, gaussian_auc = aucs(weak_present, weak, gaussian)
    strong_signal = 6.0 * blob(16, 2.0)
    strong_images, strong_present = draw_lumpy(300, 7, strong_signal, **STRONG)
    strong = lumpy_log_likelihood_ratio(
        strong_images, strong_signal, STRONG_IMAGES, n_steps=10_000
    ).log_likelihood_ratio
    both = np.stack([strong, lumpy_hotelling(strong_images, strong_signal, **STRONG)])
    gain = paired_delong(both[:, strong_present], both[:, ~strong_present])
    return [
        Check(
            "Markov chains against a sum over a grid of up to 3 lumps, 40 images of 8²: RMS error of ln Λ",
            low=0.0,
            high=2.0 * float(np.sqrt(np.mean(chains.std_error**2))) + 0.01,
            measured=float(np.sqrt(np.mean(error**2))),
            expected=0.0,
            basis="twice the chains' own standard error, and 0.01 for the grid",
        ),
        Check(
            "Markov chains, many weak lumps, 300 images of 12²: AUC less that of the Gaussian limit's matched filter",
            low=-0.01,
            high=0.01,
            measured=weak_auc - gaussian_auc,
            expected=0.0,
            basis="the same trials; both statistics are nearly the same, so 0.01 is generous",
        ),
        Check(
            "Markov chains, few strong lumps, 300 images of 16²: AUC less that of the exact Hotelling observer",
            low=0.0,
            high=0.5,
            measured=gain.delta_auc,
            basis=f"no observer beats the ideal; p = {gain.p_value:.1g}, DeLong",
        ),
    ]
