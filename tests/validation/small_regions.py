"""NPW and NPWE on small and odd regions: a signal that is known, and one that is learned from 60 + 60 trials."""

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from taskct.observers.base import SmallSampleWarning
from taskct.observers.eye import apply_eye_filter, eye_filter
from taskct.observers.nonprewhitening import NPW, NPWE
from validation.check import Check

Array = NDArray[np.float64]
SHAPES = ((7, 7), (8, 8), (15, 15), (16, 15))
PIXEL_MM, NOISE_HU, N_OF_CLASS, N_SETS = 0.7, 20.0, 60, 60
FIRST_ORDER = 0.003  # of AUC, beyond which the closed form of a learned signal is not promised


def gaussian(shape: tuple[int, int]) -> Array:
    """A signal of 2 pixels' standard deviation, of which NPW in white noise makes an AUC of 0.9."""
    rows, columns = (np.arange(n) - (n - 1) / 2.0 for n in shape)
    signal = np.exp(-(rows[:, None] ** 2 + columns**2) / 8.0)
    return np.asarray(signal * NOISE_HU * norm.ppf(0.9) * np.sqrt(2.0) / np.linalg.norm(signal))


def checks() -> list[Check]:
    """Every claim about small regions, measured."""
    found = []
    for shape in SHAPES:
        signal, n = gaussian(shape), shape[0] * shape[1]
        eye = apply_eye_filter(np.eye(n).reshape(n, *shape), eye_filter(shape, pixel_mm=PIXEL_MM)).reshape(n, n)
        for name, matrix in (("NPW", np.eye(n)), ("NPWE", eye)):
            how = {} if name == "NPW" else {"pixel_mm": PIXEL_MM}
            kind = NPW if name == "NPW" else NPWE
            seen, covariance = matrix @ signal.ravel(), NOISE_HU**2 * matrix @ matrix.T
            d2 = (seen @ seen) ** 2 / (seen @ covariance @ seen)
            noise = 2.0 / N_OF_CLASS * float(np.sum(covariance**2)) / float(seen @ covariance @ seen)
            rng = np.random.default_rng(7)
            present = np.arange(2 * N_OF_CLASS) % 2 == 0
            areas: dict[bool, list[float]] = {True: [], False: []}
            for _ in range(N_SETS):
                images = rng.normal(40.0, NOISE_HU, (len(present), *shape))
                images[present] += signal
                for known in areas:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore", SmallSampleWarning)  # few trials on purpose
                        w = kind(signal=signal if known else None, **how).fit(images, present).template_.ravel()
                    separation = w @ signal.ravel() / np.linalg.norm(w) / NOISE_HU
                    areas[known].append(float(norm.cdf(separation / np.sqrt(2.0))))
            where = f"AUC of {name}, white noise, {shape[0]} × {shape[1]} pixels"
            expected = float(norm.cdf(np.sqrt(d2 / 2.0)))
            claim = f"{where}, known signal"
            mean = float(np.mean(areas[True]))
            found.append(Check(claim, expected - 1e-9, expected + 1e-9, mean, expected, "rounding"))
            expected = float(norm.cdf(np.sqrt(d2 / (1.0 + noise) / 2.0)))
            allowed = FIRST_ORDER + 4.0 * float(np.std(areas[False], ddof=1)) / np.sqrt(N_SETS)
            mean = float(np.mean(areas[False]))
            claim = f"{where}, signal learned from {N_OF_CLASS} + {N_OF_CLASS} trials, mean of {N_SETS} sets"
            basis = "4 standard errors, and 0.003 for a closed form of first order"
            found.append(Check(claim, expected - allowed, expected + allowed, mean, expected, basis))
    return found
