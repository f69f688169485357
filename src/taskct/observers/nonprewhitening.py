"""Non-prewhitening observers: a matched filter that ignores the correlation of the noise, with and without an eye."""

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from taskct.errors import UserError
from taskct.observer_registry import EYE, VIEWING_DISTANCE_MM, conditions
from taskct.observers.base import Array, LinearObserver, SmallSampleWarning, Truth
from taskct.observers.covariance import class_means, within_class_variance
from taskct.observers.eye import Eyed
from taskct.ranges import Ranges


@dataclass(kw_only=True, eq=False, repr=False)
class NPW(LinearObserver):
    """Non-prewhitening observer [1].

    w = Δs / σ²: Δs is the expected signal, σ² the mean variance of a pixel within the classes. The division makes the
    template one in 1/HU, that of `Hotelling` if the noise were white, and changes no AUC. The test statistic is 0
    halfway between the class means.

    Parameters
    ----------
    signal
        Expected difference of the image between present and absent, HU, shape `(height, width)`; None takes the
        difference of the class means of the training trials, whose noise then costs AUC, see `noise_share`.

    References
    ----------
    .. [1] Wagner & Brown, Phys. Med. Biol. 30, 489 (1985).
    """

    signal: ArrayLike | None = None

    def __post_init__(self) -> None:
        self.signal = None if self.signal is None else check_signal(self.signal)

    def _learn(self, images: Array, signal_present: Truth) -> None:
        pixels = images.reshape(len(images), -1)
        signal, midpoint = signal_and_midpoint(self.signal, images, signal_present)
        self.template_ = signal / within_class_variance(pixels, signal_present)
        if self.signal is None:
            warn_if_noisy(noise_share(pixels, signal_present), len(images))
        self.offset_ = -float(np.vdot(self.template_, midpoint))


@dataclass(kw_only=True, eq=False, repr=False)
class NPWE(Eyed, LinearObserver):
    """Non-prewhitening observer behind an eye filter E [1], with internal noise.

    w = EᵀE Δs / σ²: Δs is the expected signal, σ² the mean variance of a pixel of the filtered images within the
    classes. Internal noise is drawn from N(0, (internal_noise · std)²) and added to the test statistic, where std is
    the standard deviation of the noise-free test statistic within the classes of the training trials [2]. It thus
    divides d' by √(1 + internal_noise²), whatever the dose.

    The response is 0 at frequency 0 and small below its peak, where a smooth signal has most of its energy, and the
    noise of a learned Δs is weighed by E² once more. So it takes many more trials than `NPW` does: of a Gaussian signal
    of 2 pixels in white noise, 0.7 mm pixels, 15 × 15 of them, an AUC of 0.80 with the known signal becomes 0.54 with
    one learned from 60 + 60 trials. A `SmallSampleWarning` says so; giving `signal` helps.

    Parameters
    ----------
    pixel_mm, viewing_distance_mm, magnification
        Of the eye, mm, mm and no unit. Its response is Burgess's: ρ^1.3 exp(−c ρ²), ρ in cycles per degree, with its
        peak at 4 cycles per degree.
    signal
        As for `NPW`, before the eye.
    internal_noise, seed
        Relative to the standard deviation of the test statistic, no unit, at least 0; and its seed, see
        `LinearObserver`.

    Attributes
    ----------
    template_
        Effective template EᵀE Δs / σ² on the image before the eye, 1/HU, shape `(height, width)`.
    internal_std_
        Standard deviation of the internal noise in the test statistic.

    References
    ----------
    .. [1] Burgess, J. Opt. Soc. Am. A 11, 1237 (1994).
    .. [2] Zhang, Pham & Eckstein, Med. Phys. 34, 3312 (2007): noise in proportion to the test statistic's.
    """

    ranges: ClassVar[Ranges] = conditions(*EYE, "internal_noise", "seed")

    pixel_mm: float
    viewing_distance_mm: float = VIEWING_DISTANCE_MM
    magnification: float = 1.0
    signal: ArrayLike | None = None
    internal_noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.signal = None if self.signal is None else check_signal(self.signal)

    def _learn(self, images: Array, signal_present: Truth) -> None:
        signal, midpoint = signal_and_midpoint(self.signal, images, signal_present)
        pixels = images.reshape(len(images), -1)
        within_class_variance(pixels, signal_present)  # what the eye leaves of none is rounding
        seen = self._seen(images).reshape(len(images), -1)
        template = self._seen(signal) / within_class_variance(seen, signal_present)
        self.template_ = self._seen(template)  # E is symmetric
        if self.signal is None:
            warn_if_noisy(noise_share(seen, signal_present), len(images))
        self.offset_ = -float(np.vdot(self.template_, midpoint))
        variance = within_class_variance(seen @ template.ravel(), signal_present) if self.internal_noise else 0.0
        self.internal_std_ = self.internal_noise * float(np.sqrt(variance))


def noise_share(pixels: Array, signal_present: Truth) -> float:
    """Share in [0, 1] of the variance of an NPW test statistic that comes from noise in the learned template.

    The mean difference of n₁ and n₀ trials is s + n, n of covariance vK, v = 1/n₁ + 1/n₀. The statistic (s + n)ᵀg has
    the variance sᵀKs + v tr(K²) on average over training sets, and the separation of its means stays sᵀs: the SNR² is
    that of the known signal times 1 − v tr(K²) / [sᵀKs + v tr(K²)], to first order. `pixels`, `(n_trials, n_pixels)`,
    are behind the eye if there is one. Both terms are estimated without bias from the same trials, tr(K²) as in
    Srivastava, J. Japan Statist. Soc. 35, 251 (2005).
    """
    n_present, n_absent = int(signal_present.sum()), int((~signal_present).sum())
    difference, _ = class_means(pixels, signal_present)
    variance = within_class_variance(pixels @ difference, signal_present)
    # Z with ZᵀZ = ½(K₁ + K₀), of as many degrees of freedom as if one class had been pooled; some trials are enough.
    some = [np.flatnonzero(of_class) for of_class in (signal_present, ~signal_present)]
    some = [members[:: max(1, len(members) // _ENOUGH)] for members in some]
    if min(map(len, some)) < 2 or variance == 0.0:
        return 1.0
    residuals = [pixels[members] - pixels[members].mean(axis=0) for members in some]
    together = np.concatenate([r / np.sqrt(2.0 * (len(r) - 1)) for r in residuals])
    gram = together @ together.T if len(together) < together.shape[1] else together.T @ together
    freedom = 4.0 / sum(1.0 / (len(members) - 1) for members in some)
    square = float(np.vdot(gram, gram)) - float(np.trace(gram)) ** 2 / freedom
    square *= freedom**2 / ((freedom + 2.0) * (freedom - 1.0))
    return float(np.clip((1.0 / n_present + 1.0 / n_absent) * square / variance, 0.0, 1.0))


_ENOUGH = 500  # trials of a class from which tr(K²) is estimated; more cost time alone
_NOISE_SHARE = 0.2  # up to here an SNR² of 80 % of the known signal's is left; d' loses a tenth
_MOST = 0.98
"""Above, the signal can hardly be told from the noise of the template, nor the trials be counted that it takes."""


def warn_if_noisy(share: float, n_trials: int) -> None:
    """Give a `SmallSampleWarning` with what helps where `noise_share` of a learned template is above 0.2."""
    if share <= _NOISE_SHARE:
        return
    # share / (1 − share) falls as 1/n.
    wanted = n_trials * share / (1.0 - share) / (_NOISE_SHARE / (1.0 - _NOISE_SHARE)) if share < _MOST else np.inf
    more = f"about {float(f'{wanted:.1g}'):,.0f} trials" if np.isfinite(wanted) else "many more trials"
    warnings.warn(
        f"{n_trials} training trials: about {min(share, 0.99):.0%} of the variance of its test statistic comes from "
        f"noise in the template, so its AUC is too low, and near 0.5 where that is most of it; give the expected "
        f"signal, a smaller region, or {more}",
        SmallSampleWarning,
        stacklevel=4,
    )


def check_signal(signal: ArrayLike) -> Array:
    """An expected signal as float64; a `UserError` says that it is no image, not finite, or 0 everywhere."""
    checked = np.asarray(signal, dtype=np.float64)
    if checked.ndim != 2:
        raise UserError(f"signal must be one image of shape (height, width), not {checked.shape}")
    if not (np.isfinite(checked).all() and checked.any()):
        raise UserError("signal must be finite and other than 0 in some pixel; give the expected difference in HU")
    return checked


def signal_and_midpoint(signal: ArrayLike | None, images: Array, signal_present: Truth) -> tuple[Array, Array]:
    """Expected signal (the difference of the class means if None) and midpoint of the means, HU, `(height, width)`."""
    shape = images.shape[1:]
    difference, midpoint = class_means(images.reshape(len(images), -1), signal_present)
    if signal is None:
        return difference.reshape(shape), midpoint.reshape(shape)
    known = np.asarray(signal, dtype=np.float64)
    if known.shape != shape:
        raise UserError(f"signal is {known.shape} but the images are {shape}; give a signal on their grid")
    return known, midpoint.reshape(shape)
