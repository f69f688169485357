"""`path.json`: what a task path adds to the control's images, what that costs, and how far it goes to the bound."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from taskct.metrics.intervals import Interval
from taskct.metrics.price_limit import ControlReading, energy_of_price, refitted_price_limit
from taskct.metrics.roc import auc, delong_covariance
from taskct.names import JOINT, LOW_DOSE
from taskct.study.arm_result import ArmResult, read_images, read_templates
from taskct.study.arms import Arm
from taskct.study.frozen import OF_CONTROL, key_of
from taskct.study.harm import site_of
from taskct.study.limits import InLimit, shared_learning
from taskct.study.models import squared_error_of
from taskct.study.resampling import CONFIDENCE, Resampling, Unit, interval_json
from taskct.study.run_folder import RunFolder
from taskct.tasks.signals import Signals
from taskct.trials.trials import Trials

Floats = NDArray[np.float64]

BOUND = "cnn"
"""The observer that approximates the ideal one: on the low-dose images, what there is to be had."""

PRINCIPLE_OBSERVER = "ho_eye"
"""Whose limit of principle is told: one with noise of its own. Without, any price would buy the bound."""

NEAR_DIAMETERS = 2.0
"""Pixels as near to the site's middle as this many diameters of its signal are near the lesion."""

Z = -float(ndtri((1.0 - CONFIDENCE) / 2.0))


def near_site(signals: Signals, *, n_pixels: int, pixel_mm: float) -> NDArray[np.bool_]:
    """Pixels whose middle lies within two diameters of each signal's, `(n, n_pixels, n_pixels)`.

    Examples
    --------
    >>> columns = {"diameter_mm": np.array([1.0]), "contrast_hu": np.ones(1)}
    >>> int(near_site(Signals.from_columns(columns), n_pixels=7, pixel_mm=1.0).sum())  # a disc of radius 2
    13
    """
    axis = (np.arange(n_pixels) - (n_pixels - 1) / 2.0) * pixel_mm
    x = axis[None, None, :] - signals.x_mm[:, None, None]
    y = axis[None, :, None] - signals.y_mm[:, None, None]
    return np.asarray(np.hypot(x, y) <= NEAR_DIAMETERS * signals.diameter_mm[:, None, None])


@dataclass(frozen=True)
class Added:
    """What was found of images that a path adds to the control's at one strength, trial by trial, `(n,)` each."""

    energy_hu2: Floats
    """Mean square over the region, HU²."""
    energy_near_hu2: Floats
    """The part of it that lies within two diameters of the site, HU²."""
    at_site_hu: Floats
    """Mean over the site's disc, HU."""
    area_near: float
    """Share of the region that lies within two diameters of the site, mean over the trials, in [0, 1]."""

    @classmethod
    def of(cls, added: NDArray[np.floating], site: NDArray[np.bool_], near: NDArray[np.bool_]) -> "Added":
        """Of images `(n, height, width)`, HU, and the pixels of each trial's disc and surroundings."""
        n_pixels = added.shape[1] * added.shape[2]
        square = np.einsum("nhw,nhw->n", added, added, dtype=np.float64) / n_pixels
        square_near = np.einsum("nhw,nhw,nhw->n", added, added, near, dtype=np.float64) / n_pixels
        at_site = np.einsum("nhw,nhw->n", added, site, dtype=np.float64) / site.sum(axis=(1, 2))
        return cls(square, square_near, at_site, float(near.mean()))

    def figures(self, share: float, resampling: Resampling) -> dict[str, Any]:
        """Those of a row of `path.json`, of the same images times a share.

        The share of the energy is that of the mean energies, not the mean of the trials' shares: what part of the price
        is paid near the site. It is None where nothing is added.
        """
        pair = np.stack([self.energy_near_hu2, self.energy_hu2], axis=1)
        present = resampling.unit.present
        return {
            "energy_near": interval_json(resampling.interval(pair, lambda mean: mean[:, 0] / mean[:, 1]))
            if self.energy_hu2.all()
            else None,
            "area_near": self.area_near,
            "mean_present_hu": interval_json(resampling.interval(share * self.at_site_hu, of=present)),
            "mean_absent_hu": interval_json(resampling.interval(share * self.at_site_hu, of=~present)),
        }


def ratio_interval(numerator: float, denominator: float, covariance: Floats) -> Interval | None:
    """A ratio of two normal estimates with Fieller's interval.

    Parameters
    ----------
    numerator, denominator
        The estimates.
    covariance
        Theirs, `(2, 2)`.

    Returns
    -------
    The ratio and its interval; None where the denominator does not differ from 0, so that no interval is bounded.

    References
    ----------
    .. [1] Fieller, J. R. Stat. Soc. B 16, 175 (1954).

    Examples
    --------
    >>> ratio_interval(1.0, 2.0, np.zeros((2, 2)))
    Interval(value=0.5, ci_low=0.5, ci_high=0.5)
    >>> ratio_interval(1.0, 1.0, np.eye(2)) is None
    True
    """
    variance, shared, below = (float(Z**2 * covariance[i, j]) for i, j in ((0, 0), (0, 1), (1, 1)))
    # All ratios r for which numerator − r · denominator does not differ from 0: a r² − 2 b r + c ≤ 0.
    a, b, c = denominator**2 - below, numerator * denominator - shared, numerator**2 - variance
    if a <= 0.0:
        return None
    half = math.sqrt(max(b * b - a * c, 0.0))
    return Interval(numerator / denominator, (b - half) / a, (b + half) / a)


@dataclass(frozen=True)
class _Area:
    """An AUC on the test trials, in the limit of many training trials or at those that there are."""

    value: float
    slope: float  # d value / d AUC of the scores
    own_std: float  # of the value, by the choice of the training trials; 0 where it is not known
    scores: Floats

    @classmethod
    def at_hand(cls, scores: Floats, unit: Unit) -> "_Area":
        return cls(auc(scores[unit.present], scores[~unit.present]), 1.0, 0.0, scores)

    @classmethod
    def in_limit(cls, result: ArmResult, name: str, unit: Unit) -> "_Area | None":
        near = result.near_limit.get(name)
        if near is None:
            return None
        found = InLimit.of(auc(near.scores[unit.present], near.scores[~unit.present]), near)
        if found is None:
            return None
        own = found.slope * math.sqrt(found.own_variance)
        return cls(found.auc, found.slope * found.by_auc, own, near.scores)


def way_to_bound(arm: ArmResult, control: ArmResult, bound: Floats, name: str, unit: Unit) -> Interval | None:
    """The share of the way from the control's AUC to the bound's that an arm goes, for one observer.

    Parameters
    ----------
    arm, control
        What was found of both. They count in the limit of many training trials where both have it, else as they are.
    bound
        Test statistics of the bound, `(n_test,)`.
    name
        Of the observer.
    unit
        Of the resampling.

    Returns
    -------
    0 at the control, 1 at the bound. The interval covers the test trials and, in the limit, the training trials. None
    where an observer is missing or the bound is not above the control.
    """
    if name not in arm.scores or name not in control.scores:
        return None
    first, second = _Area.in_limit(arm, name, unit), _Area.in_limit(control, name, unit)
    if first is None or second is None:
        first, second = _Area.at_hand(arm.scores[name], unit), _Area.at_hand(control.scores[name], unit)
    areas = first, second, _Area.at_hand(bound, unit)
    t = np.stack([one.scores for one in areas])
    slope = np.array([one.slope for one in areas])
    covariance = delong_covariance(t[:, unit.present], t[:, ~unit.present], unit.clusters) * np.outer(slope, slope)
    own = np.array([one.own_std for one in areas])
    learned = np.outer(own, own)
    # Both learned on the same trials, so part of that chance is common.
    learned[0, 1] *= shared_learning(t[:2, unit.present], t[:2, ~unit.present]) if learned[0, 1] else 0.0
    learned[1, 0] = learned[0, 1]
    differences = np.array([[1.0, -1.0, 0.0], [0.0, -1.0, 1.0]])
    gain, way = (float(one) for one in differences @ [one.value for one in areas])
    if way <= 0.0:
        return None
    return ratio_interval(gain, way, differences @ (covariance + learned) @ differences.T)


def bound_of(results: Sequence[ArmResult]) -> Floats | None:
    """Test statistics of the CNN observer on the low-dose images, `(n_test,)`; None if the study has none."""
    low_dose = next((r for r in results if r.arm.name == LOW_DOSE), None)
    return None if low_dose is None else low_dose.scores.get(BOUND)


def ways(arm: ArmResult, control: ArmResult, bound: Floats | None, unit: Unit) -> dict[str, Any]:
    """`way_to_bound` of every observer fitted afresh but the bound itself; none without a bound."""
    if bound is None:
        return {}
    found = {n: way_to_bound(arm, control, bound, n, unit) for n in arm.scores if n not in (BOUND, JOINT)}
    return {name: None if one is None else interval_json(one) for name, one in found.items()}


def best_read(results: Sequence[ArmResult], unit: Unit, seed: int) -> float:
    """The highest AUC that an observer fitted afresh reads of any images of a seed, in the limit where that is known.

    No image made of the low-dose one tells more than it: so this is a floor of the ideal observer's AUC.
    """
    areas = [
        area.value
        for r in results
        if r.arm.seed == seed
        for name in r.scores
        if name not in (BOUND, JOINT)
        for area in [_Area.in_limit(r, name, unit) or _Area.at_hand(r.scores[name], unit)]
    ]
    return max(areas, default=0.0)


def path_json(run: RunFolder, results: Sequence[ArmResult], test: Trials, *, seed: int) -> dict[str, Any]:
    """`path.json`: every working point of the task paths of a study, on the test trials; no rows without a path.

    `seed` is the training seed that is quoted. The images come from the evaluations of the control and of the path at
    the price of its training.
    """
    settings, resampling = run.settings, Resampling.of(test, run.settings)
    by_name = {(r.arm.name, r.arm.seed): r for r in results}
    bound, unit = bound_of(results), resampling.unit
    points = [r for r in results if r.arm.price is not None]
    site = site_of(settings, test) if points else None
    added: dict[tuple[str, int], Added] = {}
    rows = []
    for point in points:
        arm, control = point.arm, by_name[point.arm.control, point.arm.seed]
        whole = arm.whole, arm.seed
        if whole not in added and site is not None:
            added[whole] = _added(run, arm, test, site)
        square, price = squared_error_of(run, arm), arm.price or 0.0
        strength, trained = square.strength(price), square.strength(arm.trained_at or 0.0)
        pair = np.stack([r.quality["mse_hu2"] for r in (point, control)], axis=1)
        rows.append(
            {
                "arm": arm.name,
                "seed": arm.seed,
                "price": price,
                "strength": strength,
                "predicted_rmse_ratio": math.sqrt(1.0 + strength**2 * square.energy / square.control),
                "rmse_ratio": interval_json(resampling.interval(pair, lambda m: np.sqrt(m[:, 0] / m[:, 1]))),
                **added[whole].figures(strength / trained, resampling),
                "way_to_bound": ways(point, control, bound, unit),
            }
        )
    return {
        "schema": 1,
        "trained_at": settings.path.trained_at,
        "seed": seed,
        "bound": None
        if bound is None or not points
        else {
            "observer": BOUND,
            "auc": interval_json(unit.auc(bound)),
            "n_trials": settings.trials.n_fresh,
            "passed": best_read(results, unit, seed) > unit.auc(bound).value,
        },
        "rows": rows,
        "principle": None
        if bound is None
        else principle(
            run, by_name, test, seed=seed, ideal_auc=max(unit.auc(bound).value, best_read(results, unit, seed))
        ),
    }


def principle(
    run: RunFolder, by_name: Mapping[tuple[str, int], ArmResult], test: Trials, *, seed: int, ideal_auc: float
) -> list[dict[str, float]] | None:
    """The most AUC that a price can give the Hotelling observer behind the eye, at each price of the study.

    From what the observer reads of the control's images of the quoted seed, with the most that is read of any images
    in the place of the ideal observer; see `taskct.metrics.price_limit`. None without a path or such an observer, where
    it has no noise of its own, or where it reads more than the bound.
    """
    found = next((r for r in by_name.values() if r.arm.price is not None and r.arm.seed == seed), None)
    if found is None:
        return None
    control = found.arm.control_arm
    template = read_templates(run.evaluation_of(control)).get(key_of(OF_CONTROL, PRINCIPLE_OBSERVER))
    if template is None or template.internal_std == 0.0:
        return None
    images = read_images(run.evaluation_of(control))["test"]
    t = np.einsum("nhw,hw->n", images, template.weights, dtype=np.float64)
    mse = float(by_name[control.name, seed].quality["mse_hu2"].mean())
    present = test.signal_present
    try:
        reading = ControlReading.of(t[present], t[~present], template.weights, template.internal_std)
        return [
            {
                "price": price,
                "auc": refitted_price_limit(reading, ideal_auc, energy_of_price(price, mse, images[0].size)),
            }
            for price in sorted(found.arm.settings(run.settings).path.prices)
        ]
    except ValueError:  # the classes the wrong way round, or no ideal observer that knows more
        return None


def _added(run: RunFolder, arm: Arm, test: Trials, site: NDArray[np.bool_]) -> Added:
    """Of a path as it was trained."""
    control, trained = (read_images(run.evaluation_of(part))["test"] for part in arm.parts)
    signals, pixel_mm = Signals.from_columns(test.truth), run.settings.scanner.pixel_mm
    return Added.of(trained - control, site, near_site(signals, n_pixels=trained.shape[1], pixel_mm=pixel_mm))
