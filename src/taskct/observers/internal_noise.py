"""An observer with the internal noise of people, and the file that keeps what was fitted to them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeGuard, cast

import numpy as np

from taskct.errors import UserError
from taskct.metrics.internal_noise import NOISE_KINDS, NoiseKind
from taskct.observer_registry import OBSERVERS, conditions
from taskct.observers.base import Array, LinearObserver, Truth
from taskct.observers.channelized import ChannelizedHotelling
from taskct.observers.covariance import within_class_variance
from taskct.ranges import Range, Ranges, check_ranges
from taskct.reading import read_json

SCHEMA = "taskct human observer 1"
"""First entry of the file."""

MODELS = tuple(name for name, entry in OBSERVERS.items() if entry.module in ("channelized", "nonprewhitening"))
"""Observers that can be given the noise of people: linear ones without a regularization to choose."""

_SAME_PIXEL = 0.01
"""Relative difference of pixel sizes at which channels, which count in pixels, are still the same."""

_MOST_CHANNELS = 1000
_LONGEST = 64
"""Entries of a setting that is a list, such as `band_edges`."""

_RANGES: Ranges = {
    "alpha": Range(0.0, meaning="strength of the internal noise"),
    "ci_low": Range(0.0),
    "confidence": Range(0.0, 1.0, open_low=True, open_high=True),
    **conditions("pixel_mm", "viewing_distance_mm", "magnification"),
}


@dataclass(frozen=True)
class FittedNoise:
    """Which observer was given which internal noise, so that it does as well as people; a `UserError` if none can be.

    `settings` are hyper-parameters of the observer's own, such as `width_px`.
    """

    observer: str
    """Registered name, of `MODELS`."""
    settings: Mapping[str, Any]
    kind: NoiseKind
    alpha: float
    """Strength of the noise, in the unit of its kind."""
    ci_low: float
    ci_high: float | None
    """Bounds of its interval; None where there is no upper one."""
    confidence: float
    """Coverage of the interval."""
    pixel_mm: float
    """Of the images that the observer was fitted on."""
    viewing_distance_mm: float
    magnification: float
    """How people saw them; used by an observer with an eye."""
    fitted_on: Mapping[str, Any] = field(default_factory=dict)
    """Of what the fit was made: conditions, readers, trials, digest of the answers, version."""

    def __post_init__(self) -> None:
        if self.observer not in MODELS:
            raise UserError(f"observer {self.observer!r} takes no fitted noise; those that do: {', '.join(MODELS)}")
        if self.kind not in kinds_of(self.observer):
            raise UserError(
                f"noise of kind {self.kind!r} is not for {self.observer}: give {' or '.join(kinds_of(self.observer))}"
            )
        check_ranges(_RANGES, **{name: getattr(self, name) for name in _RANGES})
        for name, value in self.settings.items():
            _check_setting(str(name), value)
        high = self.ci_high
        if high is not None and not (math.isfinite(high) and self.ci_low <= self.alpha <= high):
            raise UserError(f"alpha is {self.alpha:g}, outside its interval [{self.ci_low:g}, {high:g}]")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON, with the schema first."""
        return {"schema": SCHEMA, **asdict(self)}


def _check_setting(name: str, value: object) -> None:
    """Refuse a setting that is no number and no list of some, or asks for channels without end."""
    several = isinstance(value, list | tuple)
    values = list(value) if isinstance(value, list | tuple) else [value]
    numbers = [one for one in values if _is_number(one) and abs(one) <= 1e6]
    if len(numbers) < len(values) or not 1 <= len(values) <= _LONGEST:
        kind = f"1 to {_LONGEST} numbers" if several else "a number"
        raise UserError(f"the setting {name} must be {kind} of at most 1e6")
    if name.startswith("n_") and max(numbers) > _MOST_CHANNELS:
        raise UserError(f"the setting {name} must be at most {_MOST_CHANNELS}")


def kinds_of(observer: str) -> tuple[NoiseKind, ...]:
    """The kinds of noise that an observer can have: those of channels are for one that has some.

    >>> kinds_of("npwe")
    ('proportional', 'constant')
    """
    channels = OBSERVERS[observer].module == "channelized"
    return tuple(kind for kind in NOISE_KINDS if channels or "channels" not in kind)


def read_fitted_noise(path: Path) -> FittedNoise:
    """Read what `taskct human` wrote; a `UserError` if it is missing, broken or something else."""
    advice = "make it again by `taskct human`"
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; give what `taskct human --out` wrote")
    content = read_json(Path(path), "a fitted observer", advice)
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise UserError(f"{path} is no fitted observer of this version ({SCHEMA}); {advice}")
    names = list(FittedNoise.__dataclass_fields__)
    numbers = ("alpha", "ci_low", "confidence", "pixel_mm", "viewing_distance_mm", "magnification")
    wrong = [name for name in names if name not in content]
    wrong += [name for name in numbers if not _is_number(content.get(name))]
    wrong += [name for name in ("settings", "fitted_on") if not isinstance(content.get(name), dict)]
    wrong += [name for name in ("observer", "kind") if not isinstance(content.get(name), str)]
    wrong += ["ci_high"] if content.get("ci_high") is not None and not _is_number(content["ci_high"]) else []
    if wrong:
        raise UserError(f"{path}: {wrong[0]} is missing or of another kind; {advice}")
    try:
        return FittedNoise(**{name: content[name] for name in names})
    except UserError as error:
        raise UserError(f"{path}: {error}; {advice}") from error


def _is_number(value: object) -> TypeGuard[float]:
    """Whether a value of JSON is a number that a float holds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def write_fitted_noise(noise: FittedNoise) -> str:
    """Text of the file, see `read_fitted_noise`."""
    return json.dumps(noise.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def noise_units(observer: LinearObserver, images: Array, signal_present: Truth) -> dict[NoiseKind, float]:
    """Standard deviation of the internal noise in the test statistic at a strength of 1, by kind.

    Parameters
    ----------
    observer
        Fitted on these trials.
    images, signal_present
        HU, `(n_trials, height, width)`, and truth, `(n_trials,)`.

    Notes
    -----
    With weights w of the channels, whose outputs have the standard deviations s within a class, noise of
    independent channels adds up to √(Σ w² s²) where it is in proportion to s, and √(Σ w²) where it is the same in all
    channels; these are then taken with a norm of 1, since an observer does not know the scale of a channel.
    """
    pixels = images.reshape(len(images), -1)
    statistic = pixels @ observer.template_.ravel()
    units: dict[NoiseKind, float] = {
        "proportional": math.sqrt(within_class_variance(statistic, signal_present)),
        "constant": 1.0,
    }
    if isinstance(observer, ChannelizedHotelling):
        matrix, weights = observer.channel_matrix_, observer.channel_template_
        outputs = pixels @ matrix
        spread = [outputs[of_class].var(axis=0, ddof=1) for of_class in (signal_present, ~signal_present)]
        units["channels"] = float(np.sqrt(weights**2 @ ((spread[0] + spread[1]) / 2.0)))
        units["uniform-channels"] = float(np.linalg.norm(weights * np.linalg.norm(matrix, axis=0)))
    return units


def without_noise(noise: FittedNoise, pixel_mm: float) -> LinearObserver:
    """The observer that the noise is for, without any; a `UserError` if its settings are unknown or out of range."""
    from taskct.observers.fresh import make_observer  # here, as it knows this module

    known = {
        "pixel_mm": pixel_mm,
        "viewing_distance_mm": noise.viewing_distance_mm,
        "magnification": noise.magnification,
    }
    told = {name: value for name, value in known.items() if name in OBSERVERS[noise.observer].needs}
    settings = {name: tuple(value) if isinstance(value, list) else value for name, value in noise.settings.items()}
    return cast(LinearObserver, make_observer(noise.observer, **told, **settings))


class HumanLike(LinearObserver):
    """A linear observer with internal noise that was fitted to people, so that it does as well as they do.

    The observer is fitted without noise. Noise of a strength that is the same for all images is then added to its test
    statistic or, what comes to the same for a linear one, to the outputs of its channels; see `noise_units`.

    Parameters
    ----------
    human
        What was fitted to people.
    pixel_mm
        Of these images, mm; None takes that of the images of the fit. A channelized observer, whose channels count in
        pixels, takes no other.
    seed
        Of the noise, see `LinearObserver`.

    Attributes
    ----------
    template_, offset_
        Those of the observer without noise.
    internal_std_
        Standard deviation of the noise in the test statistic.
    model_
        The fitted observer without noise.
    """

    ranges: ClassVar[Ranges] = conditions("pixel_mm", "seed")
    model_: LinearObserver

    def __init__(self, *, human: FittedNoise, pixel_mm: float | None = None, seed: int = 0) -> None:
        self.human = human
        self.pixel_mm = human.pixel_mm if pixel_mm is None else self.checked("pixel_mm", pixel_mm)
        self.seed = int(self.checked("seed", seed))
        channelized = OBSERVERS[human.observer].module == "channelized"
        if channelized and abs(self.pixel_mm / human.pixel_mm - 1.0) > _SAME_PIXEL:
            raise UserError(
                f"the observer was fitted to people on pixels of {human.pixel_mm:g} mm, and its channels count in "
                f"pixels; these images have pixels of {self.pixel_mm:g} mm: fit it on such, by `taskct human`"
            )
        without_noise(human, self.pixel_mm)  # a wrong setting shows here, not after the images have been made

    def _learn(self, images: Array, signal_present: Truth) -> None:
        self.model_ = without_noise(self.human, self.pixel_mm).fit(images, signal_present)
        self.template_, self.offset_ = self.model_.template_, self.model_.offset_
        unit = noise_units(self.model_, images, signal_present)[self.human.kind]
        self.internal_std_ = self.human.alpha * unit
