"""Localization and learning: scanning against M-alternative theory, LROC intervals, asymptotes of learning curves."""

import math

import numpy as np
from scipy.integrate import quad
from scipy.stats import binom, norm

from taskct.metrics.lroc import correct_localization, lroc_area, lroc_interval
from taskct.metrics.roc import auc
from taskct.observers.hotelling import Hotelling
from taskct.observers.learning import learning_curve
from taskct.observers.learning_law import expected_auc
from taskct.observers.prewhitening import PWMF
from taskct.observers.scanning import Scanning
from validation.check import Check

COVERAGE = "required: 95 % ± 1.5 %"


def m_alternatives(d: float, m: int) -> tuple[float, float, float]:
    """Fraction located, LROC area and AUC of the maximum of m independent unit normals, one of them shifted by d."""

    def mean(f):
        return quad(f, -9.0, 9.0 + d, epsabs=1e-12)[0]

    located = mean(lambda x: norm.pdf(x - d) * norm.cdf(x) ** (m - 1))
    lroc = mean(lambda x: norm.pdf(x - d) * norm.cdf(x) ** (2 * m - 1))
    below = mean(lambda x: norm.cdf(x - d) * m * norm.pdf(x) * norm.cdf(x) ** (2 * m - 2))
    return located, lroc, 1.0 - below


def scanning_checks() -> list[Check]:
    """The scanning PWMF in white noise, at 16 windows that touch and do not overlap."""
    n, side, d, noise_hu = 10_000, 6, 2.5, 20.0
    rng = np.random.default_rng(1)
    blob = np.exp(-((np.arange(side) - 3.0) ** 2) / 4.0)
    signal = np.outer(blob, blob)
    signal *= d * noise_hu / np.linalg.norm(signal)
    places = side // 2 + side * np.arange(4)
    sites = np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1, 2)
    true = sites[rng.integers(len(sites), size=n)]
    images = 40.0 + noise_hu * rng.standard_normal((n, 4 * side, 4 * side))
    signal_present = np.arange(n) % 2 == 0
    for i in np.flatnonzero(signal_present):
        row, column = true[i] - side // 2
        images[i, row : row + side, column : column + side] += signal
    observer = PWMF(covariance=noise_hu**2 * np.eye(side**2), signal=signal)
    scanning = Scanning(observer, size_px=side, sites=sites).fit(images, signal_present, true)
    t, found = scanning.locate(images)
    present, absent = t[signal_present], t[~signal_present]
    correct = correct_localization(found[signal_present], true[signal_present], radius_mm=1.0, pixel_mm=0.7)
    measured = correct.mean(), lroc_area(present, absent, correct), auc(present, absent)
    checks = []
    names = "fraction located correctly", "LROC area", "AUC of the maximum"
    for name, value, theory in zip(names, measured, m_alternatives(d, len(sites)), strict=True):
        error = math.sqrt(theory * (1 - theory) / (n / 2))  # of areas the largest it can be
        checks.append(
            Check(
                claim=f"Scanning PWMF, white noise, 16 sites, 5,000 + 5,000 trials: {name}, against the integral",
                low=theory - 4 * error,
                high=theory + 4 * error,
                measured=float(value),
                expected=theory,
                basis="4 standard errors",
            )
        )
    return checks


def lroc_coverage(n_present: int, n_absent: int, d: float, m: int, n_studies: int, seed: int) -> Check:
    """How often the interval holds the integral."""
    rng = np.random.default_rng(seed)
    truth = m_alternatives(d, m)[1]
    hits = 0
    for _ in range(n_studies):
        at_signal = rng.normal(d, size=n_present)
        elsewhere = norm.ppf(rng.random(n_present) ** (1 / (m - 1)))
        absent = norm.ppf(rng.random(n_absent) ** (1 / m))
        interval = lroc_interval(np.maximum(at_signal, elsewhere), absent, at_signal > elsewhere)
        hits += interval.ci_low <= truth <= interval.ci_high
    return Check(
        claim=f"LROC area {truth:.2f}, {n_present} + {n_absent} trials: coverage of {n_studies:,} intervals of 95 %",
        low=0.935,
        high=0.965,
        measured=hits / n_studies,
        expected=0.95,
        basis=COVERAGE,
    )


def learning_checks() -> list[Check]:
    """Small-sample AUC and the asymptote of learning curves of the Hotelling observer, p weights."""
    snr, p, n_studies = 1.5, 10, 300
    truth = float(norm.cdf(snr / math.sqrt(2.0)))
    rng = np.random.default_rng(2)

    def draw(n: int, n_pixels: int):
        images = rng.normal(size=(n, n_pixels, 1))
        signal_present = np.arange(n) % 2 == 0
        images[signal_present, 0] += snr
        return images, signal_present

    checks = []
    for n_trials, n_pixels in ((200, 64), (1000, 64)):
        areas = np.empty(200)
        for i in range(len(areas)):
            template = Hotelling(ridge=0.0).fit(*draw(n_trials, n_pixels)).template_.ravel()
            areas[i] = norm.cdf(snr * template[0] / np.linalg.norm(template) / math.sqrt(2.0))
        theory = expected_auc(snr, n_trials, n_pixels)
        error = areas.std(ddof=1) / math.sqrt(len(areas)) + 5e-5
        checks.append(
            Check(
                claim=f"Hotelling observer, 64 pixels, 200 trainings on {n_trials} trials: mean AUC against theory",
                low=theory - 4 * error,
                high=theory + 4 * error,
                measured=float(areas.mean()),
                expected=theory,
                basis="4 standard errors",
            )
        )
    found = []
    for seed in range(n_studies):
        asymptote = learning_curve(
            Hotelling(ridge=0.0), *draw(800, p), test=draw(800, p), n_repeats=5, seed=seed
        ).asymptote
        found.append((asymptote.auc, asymptote.ci_low, asymptote.ci_high))
    value, low, high = np.transpose(found)
    error = value.std(ddof=1) / math.sqrt(n_studies)
    claim = f"Learning curve, 10 weights, 71 to 800 training and 800 test trials, {n_studies} studies: "
    checks.append(
        Check(
            claim=claim + "mean asymptote against the AUC of infinitely many trials",
            low=truth - 4 * error - 0.001,
            high=truth + 4 * error + 0.001,
            measured=float(value.mean()),
            expected=truth,
            basis="4 standard errors, and 0.001 for what the model neglects in 1/n²",
        )
    )
    checks.append(
        Check(
            claim=claim + "coverage of its 95 % interval, which errs to the wide side",
            low=float(binom.ppf(3e-5, n_studies, 0.95)) / n_studies,
            high=1.0,
            measured=float(np.mean((low <= truth) & (truth <= high))),
            expected=0.95,
            basis="at least 95 %, less 4 standard errors",
        )
    )
    return checks


def checks() -> list[Check]:
    """Rows of the page of validations."""
    return [
        *scanning_checks(),
        lroc_coverage(100, 100, 2.0, 9, 4000, seed=3),
        lroc_coverage(40, 80, 1.5, 4, 4000, seed=4),
        *learning_checks(),
    ]
