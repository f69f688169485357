"""The limit of principle of a price: the most AUC that changing an image can give a linear observer with own noise.

The observer's template v has length 1 and its noise is σ: it reads y = vᵀf₀ + σε of the control's image. An ideal
observer of the low-dose image has a decision variable t of the signal-to-noise ratio d. In Gaussian data y is
(δ/d²) t + r: δ is the separation of the classes in y, and r, of variance R, knows nothing of them. A change Δ of the
image adds c = vᵀΔ to y. What else it does is of no use to this observer, so Δ is c v, and E[c²] is the price in squared
HU of a whole image. The best linear c = κ (t − E t) − b r tells the decision and cancels some of r, and 1/SNR² is
1/d² + 1/q with

    q = (δ + D √E cos ψ)² / ((√R − √E sin ψ)² + σ²),   D = d / √(1 + d²/4),

where ψ shares the energy E out. An observer that is fitted to the changed images may turn its template by φ to a
pattern in which the control has neither signal nor variance: δ and √R become δ cos φ and √R cos φ. (Own derivation; the
tests hold it to an optimisation over all linear changes and to simulated trials.)
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from taskct.metrics.detectability import d_a
from taskct.metrics.scores import check_trials

_ANGLES = 901
"""Of each grid: 0.1° in ψ and φ, which is 1e-6 in AUC at a maximum."""


@dataclass(frozen=True)
class ControlReading:
    """What a linear observer reads of the control's images, its template scaled to length 1.

    Parameters
    ----------
    separation_hu
        Mean test statistic with a signal less that without, HU.
    std_hu
        Standard deviation of the test statistic within a class, without the observer's own noise, HU.
    noise_hu
        Standard deviation of the observer's own noise, HU, at least 0.

    Raises
    ------
    ValueError
        If the separation or the standard deviation is not above 0, or the noise below.
    """

    separation_hu: float
    std_hu: float
    noise_hu: float

    def __post_init__(self) -> None:
        if not (self.separation_hu > 0.0 and self.std_hu > 0.0 and self.noise_hu >= 0.0):
            raise ValueError(
                f"separation_hu ({self.separation_hu}) and std_hu ({self.std_hu}) must be above 0 HU, and noise_hu "
                f"({self.noise_hu}) at least 0"
            )

    @classmethod
    def of(
        cls,
        t_present: NDArray[np.floating],
        t_absent: NDArray[np.floating],
        template: NDArray[np.floating],
        internal_std: float = 0.0,
    ) -> Self:
        """From test statistics without the observer's own noise, `(n_present,)` and `(n_absent,)`.

        Parameters
        ----------
        t_present, t_absent
            Σ template · image of the control's trials, and a constant.
        template
            1/HU or of any unit, `(height, width)`.
        internal_std
            Standard deviation of the observer's own noise in the test statistic, its unit.

        Raises
        ------
        ValueError
            If a class has fewer than 2 trials, or the observer separates the classes the wrong way round.
        """
        check_trials(t_present, t_absent, ndim=1)
        length = float(np.linalg.norm(template))
        variance = (np.var(t_present, ddof=1) + np.var(t_absent, ddof=1)) / 2.0
        separation = float(np.mean(t_present) - np.mean(t_absent))
        return cls(separation / length, math.sqrt(float(variance)) / length, internal_std / length)


def energy_of_price(price: float, mse_hu2: float, n_pixels: int, *, share: float = 1.0) -> float:
    """Energy of a change that costs a price in RMSE, HU², summed over the pixels of an image.

    Parameters
    ----------
    price
        RMSE over the control's, less 1; at least 0.
    mse_hu2
        Mean squared error of a pixel of the control, HU².
    n_pixels
        Of the region that is scored.
    share
        Share of the template's squared weights that lie where the change may be, in (0, 1]: a change within two
        diameters of the lesion reaches an observer with no more than that. 1 lets it be anywhere.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Notes
    -----
    The control is taken to be the conditional mean: its error is orthogonal to all functions of the low-dose image, and
    the energies add.

    Examples
    --------
    >>> round(energy_of_price(0.02, 10.0, 2704), 1)
    1092.4
    """
    if not (price >= 0.0 and mse_hu2 > 0.0 and n_pixels >= 1 and 0.0 < share <= 1.0):
        raise ValueError(
            f"price ({price}) must be at least 0, mse_hu2 ({mse_hu2}) above 0, n_pixels ({n_pixels}) at least 1, share "
            f"({share}) above 0 and at most 1"
        )
    return share * ((1.0 + price) ** 2 - 1.0) * mse_hu2 * n_pixels


def frozen_price_limit(reading: ControlReading, ideal_auc: float, energy_hu2: float) -> float:
    """Most AUC of an observer that stays as it is, after a change of the control's images of an energy.

    Parameters
    ----------
    reading
        What the observer reads of the control's images.
    ideal_auc
        AUC of the ideal observer of the low-dose images, or of the best that is known, in (0.5, 1).
    energy_hu2
        Mean energy of the change, HU² summed over an image, see `energy_of_price`; at least 0.

    Returns
    -------
    The AUC; that of the control's images at an energy of 0.

    Raises
    ------
    ValueError
        If a number is out of range, or the observer reads more than the ideal one.

    Notes
    -----
    Holds for Gaussian data and changes that are linear in them. A change may follow the posterior probability instead,
    c ∝ tanh(t/2): at d = 2 it separates the classes by 5 % more for its energy where noise dominates, at d = 1 by 1 %.

    Examples
    --------
    >>> frozen_price_limit(ControlReading(6.0, 4.0, 0.0), 0.92, 0.0).__round__(3)
    0.856
    >>> frozen_price_limit(ControlReading(6.0, 4.0, 0.0), 0.92, 2.0).__round__(3)
    0.905
    """
    return _limit(reading, ideal_auc, energy_hu2, np.zeros(1))


def refitted_price_limit(reading: ControlReading, ideal_auc: float, energy_hu2: float) -> float:
    """Most AUC of an observer fitted anew, whose template may turn to a pattern that the control leaves empty.

    Parameters
    ----------
    reading, ideal_auc, energy_hu2
        As for `frozen_price_limit`; the reading is that of the observer fitted to the control's images.

    Returns
    -------
    The AUC. It nears that of the ideal observer once the energy is large against the variance of the observer's noise:
    what is written into an empty pattern is read with nothing else in the way.

    Raises
    ------
    ValueError
        As for `frozen_price_limit`, and if the observer has no noise of its own: it would read the faintest pattern.

    Examples
    --------
    >>> refitted_price_limit(ControlReading(6.0, 4.0, 4.0), 0.92, 1000.0).__round__(3)
    0.917
    """
    if reading.noise_hu == 0.0:
        raise ValueError("noise_hu is 0: an observer without noise of its own reads the faintest pattern")
    return _limit(reading, ideal_auc, energy_hu2, np.linspace(0.0, math.pi / 2.0, _ANGLES))


def _limit(reading: ControlReading, ideal_auc: float, energy_hu2: float, turns: NDArray[np.float64]) -> float:
    """The most over the turns φ, `(n,)`, of the template and the shares ψ of the energy."""
    if not (0.5 < ideal_auc < 1.0 and energy_hu2 >= 0.0):
        raise ValueError(
            f"ideal_auc is {ideal_auc}, energy_hu2 {energy_hu2}: give above 0.5 and below 1, at least 0 HU²"
        )
    ideal = d_a(ideal_auc)
    unrelated = reading.std_hu**2 - (reading.separation_hu / ideal) ** 2  # R
    if unrelated < 0.0:
        raise ValueError(
            f"the observer's signal-to-noise ratio is {reading.separation_hu / reading.std_hu:.2f} without its noise, "
            f"and the ideal observer's {ideal:.2f} (ideal_auc {ideal_auc})"
        )
    psi = np.linspace(0.0, math.pi / 2.0, _ANGLES)[:, None]
    kept, root = np.cos(turns), math.sqrt(energy_hu2)
    told = reading.separation_hu * kept + ideal / math.sqrt(1.0 + ideal**2 / 4.0) * root * np.cos(psi)
    left = (math.sqrt(unrelated) * kept - root * np.sin(psi)) ** 2 + reading.noise_hu**2
    # 1/SNR² = 1/d² + left/told²; the least of left/told², also where nothing is left.
    most = float(np.min(left / np.maximum(told, np.finfo(float).tiny) ** 2))
    return float(ndtr(1.0 / math.sqrt(2.0 * (1.0 / ideal**2 + most))))
