"""Observers fitted once, on the images of one arm, and applied unchanged to those of another.

An observer that is fitted afresh adapts to a denoiser. What a frozen one gains is the denoiser's alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.metrics.intervals import Interval
from taskct.names import LOW_DOSE, MSE
from taskct.observers.base import LinearObserver
from taskct.observers.fresh import Fitted
from taskct.study.arms import Arm
from taskct.study.resampling import Resampling, Unit, interval_json

Floats = NDArray[np.float64]

REFERENCE = "reference"
"""What an observer was fitted on, beside the names of arms: the images without noise, or of full dose."""

OF_CONTROL = "control"
"""The same for the images of the control, λ = 0, in a study with a task path."""

BATCH = 256  # images

WORKING_FPF = 0.1
"""False-positive fraction on validation trials that sets an observer's criterion."""


def frozen_names(settings: Settings) -> tuple[str, ...]:
    """The observers that are carried over: Hotelling, before and behind the eye, and channelized ones of the study."""
    return ("ho", "ho_eye", *(name for name in settings.observers.more if name.startswith("cho_")))


@dataclass(frozen=True)
class Template:
    """A linear observer as it was fitted, and the criterion above which it says that there is a signal."""

    weights: Floats
    """Of the image in HU, `(height, width)`."""
    offset: float
    internal_std: float
    """Of the internal noise in the test statistic; 0 where it has none."""
    seed: int
    """Of that noise: the same in every arm, as for an observer fitted afresh."""
    criterion: float
    """Test statistic with a false-positive fraction of `WORKING_FPF` on validation trials of what it was fitted on."""

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """All but the weights, for a file."""
        return self.offset, self.internal_std, float(self.seed), self.criterion

    @classmethod
    def of(cls, weights: Floats, numbers: Floats) -> "Template":
        """From what a file holds."""
        offset, internal_std, seed, criterion = numbers.tolist()
        return cls(weights, offset, internal_std, int(seed), criterion)


def criterion(t_absent: Floats, fpf: float = WORKING_FPF) -> float:
    """The test statistic that a share of signal-absent trials, `(n,)`, exceeds.

    Examples
    --------
    >>> criterion(np.arange(101.0))
    90.0
    """
    return float(np.quantile(t_absent, 1.0 - fpf))


def templates_of(
    fresh: Mapping[str, Fitted], names: Iterable[str], validation: NDArray[np.floating], present: NDArray[np.bool_]
) -> dict[str, Template]:
    """What is kept of observers fitted afresh, by name; the criterion is set on validation images `(n, h, w)`."""
    kept = {}
    for name in names:
        observer = fresh[name].observer if name in fresh else None
        if isinstance(observer, LinearObserver):
            kept[name] = Template(
                observer.template_,
                float(observer.offset_),
                float(observer.internal_std_),
                int(observer.seed),
                criterion(observer.test_statistic(validation)[~present]),
            )
    return kept


def frozen_scores(templates: Mapping[str, Template], images: NDArray[np.floating]) -> dict[str, Floats]:
    """Test statistics of images in HU, `(n, height, width)`, by template; each `(n,)`."""
    if not templates:
        return {}
    weights = np.stack([one.weights.ravel() for one in templates.values()], axis=1)
    pixels = images.reshape(len(images), -1)
    # A few at a time, since they become twice as large.
    batches = (pixels[start : start + BATCH].astype(np.float64) for start in range(0, len(pixels), BATCH))
    products = np.concatenate([batch @ weights for batch in batches])
    scores = {}
    for (name, one), t in zip(templates.items(), products.T, strict=True):
        scores[name] = np.ascontiguousarray(t + one.offset)
        if one.internal_std > 0.0:
            scores[name] += one.internal_std * np.random.default_rng(one.seed).standard_normal(len(t))
    return scores


def sources(settings: Settings) -> tuple[str, ...]:
    """All that an observer of a study may have been fitted on."""
    return (LOW_DOSE, MSE, REFERENCE, OF_CONTROL) if _meets_control(settings) else (LOW_DOSE, MSE, REFERENCE)


def _meets_control(settings: Settings) -> bool:
    """Whether arms meet the control's observers: a task path starts at its images, so that is its gain by itself."""
    return settings.training.method in ("task-path", "both")


def source_name(arm: Arm, settings: Settings) -> str | None:
    """What the observers of an arm's images are called that other arms meet; None if these meet none of them."""
    if arm.name == LOW_DOSE:
        return LOW_DOSE
    if arm.pretrained:
        return MSE
    return OF_CONTROL if _is_control(arm, settings) else None


def _is_control(arm: Arm, settings: Settings) -> bool:
    """Whether a task path of the study starts from the images of an arm."""
    if not _meets_control(settings):
        return False
    start = settings.imported.path_of
    if start is not None:
        return arm.from_elsewhere and not arm.mixed and arm.imported == start
    return arm.name == arm.control


def sources_of(arm: Arm, settings: Settings) -> tuple[Arm, ...]:
    """The arms whose observers are applied to another's images, and that are evaluated before it.

    The low-dose images, the pretrained denoiser that a trained one started from and, in a study with a task path, its
    control.
    """
    low_dose = Arm(type(arm.identity)("low-dose", seed=arm.seed))
    if arm.name == LOW_DOSE:
        return ()
    if not arm.controlled:
        return (low_dose,)
    if arm.imported is not None:  # a task path on images from elsewhere
        return (low_dose, arm.control_arm)
    first = low_dose, arm.start
    met = arm.name != arm.control and _is_control(arm.control_arm, settings)
    return (*first, arm.control_arm) if met else first


def key_of(source: str, observer: str) -> str:
    """Name of a frozen observer in the files of an evaluation; `source` is one of `sources`."""
    return f"{source}/{observer}"


def frozen_rows(arm: Arm, scores: Mapping[str, Floats], base: Mapping[str, Floats], unit: Unit) -> list[Any]:
    """Rows of `frozen.json` of one arm; `base` has the same observers' statistics on the images of `arm.base`."""
    rows = []
    for name, t in scores.items():
        source, _, observer = name.partition("/")
        delta = None
        if arm.base is not None and name in base:
            found = unit.auc_difference(np.stack([t, base[name]]))
            delta = interval_json(Interval(found.delta_auc, found.ci_low, found.ci_high))
        row = {"arm": arm.name, "seed": arm.seed, "observer": observer, "fitted_on": source}
        rows.append(row | {"auc": interval_json(unit.auc(t)), "delta": delta})
    return rows


def false_positives(
    scores: Mapping[str, Floats], criteria: Mapping[str, float], resampling: Resampling
) -> list[dict[str, Any]]:
    """How often each observer says signal where there is none, and where there is one, at a criterion set before.

    `scores` and `criteria` are by observer, with "SOURCE/" before it where it was fitted on other images: its criterion
    stays what it was there, as a reader's does whom nobody told of the denoiser. Noise-free references set none.
    """
    present, rows = resampling.unit.present, []
    for name, t in scores.items():
        source, _, observer = name.rpartition("/")
        if name not in criteria or source == REFERENCE:
            continue
        called = t > criteria[name]
        rows.append(
            {
                "observer": observer,
                "fitted_on": source or "own",
                "criterion": criteria[name],
                "false_positive_fraction": interval_json(resampling.rate(called, of=~present)),
                "true_positive_fraction": interval_json(resampling.rate(called, of=present)),
            }
        )
    return rows
