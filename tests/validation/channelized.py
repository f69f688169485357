"""Channelized Hotelling observers against their closed forms, and the coverage of their exact intervals."""

import numpy as np
from scipy.special import ndtr, ndtri
from sklearn.metrics import roc_auc_score

from taskct.metrics.exact_cho import exact_cho_interval
from taskct.observers.channelized import ChannelizedHotelling
from taskct.observers.channels import dense_dog, gabor, laguerre_gauss, sparse_dog
from validation.check import Check

SIDE = 32
CHANNELS = {
    "Laguerre–Gauss": ("lg", lambda shape: laguerre_gauss(shape, width_px=SIDE / 5)),
    "Gabor": ("gabor", gabor),
    "sparse DoG": ("sparse-dog", sparse_dog),
    "dense DoG": ("dense-dog", dense_dog),
}


class StationaryTask:
    """A Gaussian blob in stationary Gaussian noise of a known power spectrum, periodic, 32 × 32 pixels."""

    def __init__(self, *, lumpy: float, contrast: float) -> None:
        frequency = np.fft.fftfreq(SIDE)
        rho2 = frequency[:, None] ** 2 + frequency**2
        self.power = 400.0 * (1.0 + lumpy * np.exp(-rho2 / (2.0 * 0.06**2)))  # HU²
        distance = np.arange(SIDE) - (SIDE - 1) / 2
        self.signal = contrast * np.exp(-(distance[:, None] ** 2 + distance**2) / 8.0)

    def draw(self, n_trials: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        white = np.random.default_rng(seed).standard_normal((n_trials, SIDE, SIDE))
        signal_present = np.arange(n_trials) % 2 == 0
        noise = np.fft.ifft2(np.fft.fft2(white) * np.sqrt(self.power)).real
        return noise + signal_present[:, None, None] * self.signal, signal_present

    def filtered(self, columns: np.ndarray) -> np.ndarray:
        """K u of every column u."""
        images = columns.T.reshape(-1, SIDE, SIDE)
        return np.fft.ifft2(np.fft.fft2(images) * self.power).real.reshape(len(images), -1).T

    def best_snr2(self, matrix: np.ndarray) -> float:
        """SᵀU (UᵀKU)⁻¹ UᵀS."""
        seen = matrix.T @ self.signal.ravel()
        return float(seen @ np.linalg.solve(matrix.T @ self.filtered(matrix), seen))

    def snr2_of(self, template: np.ndarray) -> float:
        """SNR² of one template on endless new trials."""
        w = template.reshape(-1, 1)
        return float((w[:, 0] @ self.signal.ravel()) ** 2 / (w[:, 0] @ self.filtered(w)[:, 0]))


def checks() -> list[Check]:
    """Rows of the validation page; about 20 s on one thread."""
    return [*_closed_forms(), _internal_noise(), *_coverage()]


def _error_of_auc(auc: float, n: int) -> float:
    """Standard error of an empirical AUC from n + n trials; Hanley & McNeil, Radiology 143, 29 (1982)."""
    q1, q2 = auc / (2.0 - auc), 2.0 * auc**2 / (1.0 + auc)
    return float(np.sqrt((auc * (1.0 - auc) + (n - 1) * (q1 + q2 - 2.0 * auc**2)) / n**2))


def _closed_forms() -> list[Check]:
    rows = []
    n_train = n_test = 4_000
    for noise, lumpy, contrast in (("white", 0.0, 9.0), ("coloured", 20.0, 24.0)):
        task = StationaryTask(lumpy=lumpy, contrast=contrast)
        training, (images, signal_present) = task.draw(n_train, seed=1), task.draw(n_test, seed=2)
        for name, (kind, make) in CHANNELS.items():
            matrix = make((SIDE, SIDE))
            snr2 = task.best_snr2(matrix)
            # Expected on new trials after finite training, to first order in p/N.
            trained = snr2**2 / (snr2 + 4 * matrix.shape[1] / n_train) * (1 - matrix.shape[1] / n_train)
            auc, expected = ndtr(np.sqrt([snr2 / 2.0, trained / 2.0]))
            margin = 4.0 * _error_of_auc(expected, n_test // 2)
            statistic = ChannelizedHotelling(channels=kind).fit(*training).test_statistic(images)
            rows.append(
                Check(
                    claim=f"AUC of the CHO with {matrix.shape[1]} {name} channels, {noise} noise, {n_train:,} training "
                    f"and {n_test:,} test trials of {SIDE}²",
                    low=expected - margin,
                    high=auc + margin,
                    measured=float(roc_auc_score(signal_present, statistic)),
                    expected=float(auc),
                    basis="4 standard errors, and the loss from finite training",
                )
            )
    return rows


def _internal_noise() -> Check:
    task = StationaryTask(lumpy=20.0, contrast=24.0)
    n_train = 4_000
    observer = ChannelizedHotelling(internal_noise=1.5).fit(*task.draw(n_train, seed=3))
    images, signal_present = task.draw(20_000, seed=4)
    # The observer's own external SNR, from the true power, so that only the law of the noise is tested.
    auc = float(ndtr(np.sqrt(task.snr2_of(observer.template_) / (1.0 + 1.5**2) / 2.0)))
    # Training knows the external variance to √(2/N); one per cent of SNR² is at most 0.0012 of AUC.
    margin = 4.0 * float(np.hypot(_error_of_auc(auc, 10_000), 0.12 * np.sqrt(2.0 / n_train)))
    return Check(
        claim="AUC of the LG CHO with internal noise 1.5 times the external: SNR²/(1 + 1.5²), 20,000 test trials",
        low=auc - margin,
        high=auc + margin,
        measured=float(roc_auc_score(signal_present, observer.test_statistic(images))),
        expected=auc,
        basis="4 standard errors of the AUC and of the variance known from training",
    )


def _coverage() -> list[Check]:
    rows = []
    n_studies = 4_000
    for n_present, n_absent, p, auc, known in (
        (20, 20, 3, 0.55, False),
        (50, 150, 10, 0.80, False),
        (60, 60, 40, 0.95, False),
        (50, 150, 10, 0.80, True),
    ):
        rng = np.random.default_rng(5)
        mix = rng.standard_normal((p, p))
        difference = np.eye(p)[0] * np.sqrt(2.0) * ndtri(auc)
        covered = 0
        for _ in range(n_studies):
            v_present = (rng.standard_normal((n_present, p)) + difference) @ mix
            v_absent = rng.standard_normal((n_absent, p)) @ mix
            interval = exact_cho_interval(v_present, v_absent, known_difference=difference @ mix if known else None)
            covered += interval.ci_low <= auc <= interval.ci_high
        means = ", difference of means known" if known else ""
        rows.append(
            Check(
                claim=f"Coverage of the exact 95 % interval of a CHO's AUC{means}: {p} channels, "
                f"{n_present} + {n_absent} trials, AUC {auc:.2f}, {n_studies:,} studies",
                low=0.935,
                high=0.965,
                measured=covered / n_studies,
                expected=0.95,
                basis="wanted; the standard error is 0.0034",
            )
        )
    return rows
