"""From denoisers to results: observers and image quality of every arm on the test trials."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.denoisers.denoiser import denoise
from taskct.metrics.image_quality import mse_hu2, peak_disc_hu, psnr_db, site_bias_hu, ssim
from taskct.metrics.roc import auc
from taskct.observers import Observer, PathObserver, SmallSampleWarning, make_observer
from taskct.observers.choice import fit_chosen
from taskct.study.arms import CONTROL, LOW_DOSE, MSE, Arm, arms_of
from taskct.study.insert import lidc_of
from taskct.study.stages import RunFolder
from taskct.study.train import load_denoiser, load_head
from taskct.tasks.shapes import signal_site
from taskct.tasks.signals import Signals
from taskct.trials import Trials, crop, read_trials

Progress = Callable[[int, int, str], None]
Images = dict[str, NDArray[np.float32]]

SPLITS_SEEN = ("validation", "fresh", "test")
FRESH = ("slnn", "ho", "ho_eye")
"""Observers that every study fits afresh; `observers.more` names others."""
JOINT = "slnn_joint"


@dataclass
class ArmResult:
    """What the test trials say of one arm."""

    arm: Arm
    scores: dict[str, NDArray[np.float64]]
    """Test statistics by observer, `(n_test,)`, as they are listed; "slnn_joint", the jointly trained one, first."""
    quality: dict[str, NDArray[np.float64]]
    """`mse_hu2`, `psnr_db`, `ssim`, `site_bias_hu`, `peak_disc_hu`, each `(n_test,)`."""
    regularization: dict[str, float]
    """Chosen on validation trials, by fresh observer."""
    validation_auc: dict[str, float]
    """By observer, on the validation trials."""
    validation_rmse_hu: float
    template: NDArray[np.float64] | None
    """The joint SLNN-NO's, 1/HU, or None."""
    examples: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    """The panel's trials, denoised, HU."""


def fresh_names(settings: Settings) -> tuple[str, ...]:
    """The observers that a study fits afresh."""
    return (*FRESH, *settings.observers.more)


def candidates(settings: Settings, name: str, *, device: torch.device | str = "cpu") -> tuple[Observer, list[float]]:
    """A fresh observer of a study and the regularizations to choose from; none for an observer that has no path."""
    o = settings.observers
    eye = {
        "pixel_mm": settings.scanner.pixel_mm,
        "viewing_distance_mm": o.viewing_distance_mm,
        "magnification": o.magnification,
    }
    own: dict[str, dict[str, Any]] = {
        "ho_eye": {**eye, "internal_noise_hu": o.internal_noise_hu, "seed": settings.seed},
        "npwe": eye,
        "cnn": {"seed": settings.seed, "device": device},
    }
    observer = make_observer(name, **own.get(name, {}))
    if not isinstance(observer, PathObserver):
        return observer, []
    return observer, list(o.weight_decays if name == "slnn" else o.ridges)


def split_auc(statistic: NDArray[np.float64], present: NDArray[np.bool_]) -> float:
    """AUC of test statistics `(n,)` with their truth."""
    return auc(statistic[present], statistic[~present])


@dataclass(frozen=True)
class Fresh:
    """Fresh observers of one arm, by name."""

    observers: dict[str, Observer]
    """Fitted."""
    regularization: dict[str, float]
    """Chosen on the validation split; none for an observer without a path."""
    validation_auc: dict[str, float]
    """On that split."""
    notes: dict[str, str]
    """What is to be known of an observer: that it has few trials."""


def fit_fresh(
    settings: Settings, images: Images, splits: dict[str, Trials], *, device: torch.device | str = "cpu"
) -> Fresh:
    """Fit every fresh observer on the fresh split, its regularization chosen on the validation split."""
    observers: dict[str, Observer] = {}
    chosen, areas, notes = {}, {}, {}
    fresh, validation = splits["fresh"].signal_present, splits["validation"].signal_present
    for name in fresh_names(settings):
        observer, values = candidates(settings, name, device=device)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", SmallSampleWarning)
            if isinstance(observer, PathObserver):
                held_out = images["validation"], validation
                found = fit_chosen(observer, images["fresh"], fresh, validation=held_out, values=values)
                observers[name], chosen[name] = found.observer, found.value
                areas[name] = found.validation_auc[found.value]
            else:
                observers[name] = observer.fit(images["fresh"], fresh)
                areas[name] = split_auc(observer.test_statistic(images["validation"]), validation)
        for warning in caught:
            if issubclass(warning.category, SmallSampleWarning):
                notes[name] = str(warning.message)
            else:
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return Fresh(observers, chosen, areas, notes)


def example_trials(settings: Settings, test: Trials) -> NDArray[np.int64]:
    """The panel's trials: the first ones of each class, so that nobody picks them by eye."""
    k = settings.evaluation.n_examples
    present, absent = np.flatnonzero(test.signal_present), np.flatnonzero(~test.signal_present)
    return np.concatenate([present[:k], absent[:k]])


def false_signal(settings: Settings) -> tuple[float, float, float]:
    """What counts as a painted signal: its diameter in mm, its least contrast in HU, and the contrast's sign.

    The mean diameter and the lowest contrast that the task's signals have; half the largest when they have both signs.
    """
    low, high = settings.signal.contrast_hu
    threshold = min(abs(low), abs(high)) if low * high > 0 else max(abs(low), abs(high)) / 2.0
    return sum(settings.signal.diameter_mm) / 2.0, threshold, 1.0 if low + high >= 0 else -1.0


class Evaluator:
    """Evaluates arms of a run on the same trials."""

    def __init__(self, run: RunFolder) -> None:
        self.run = run
        self.settings = run.settings
        self.margin = run.settings.trials.margin_pixels
        self.splits = {name: read_trials(run.trials, name) for name in SPLITS_SEEN}
        self.reference = {name: crop(trials.reference, self.margin) for name, trials in self.splits.items()}
        test = self.splits["test"]
        lidc = lidc_of(self.settings)
        self.site = signal_site(
            Signals.from_columns(test.truth),
            lidc=None if lidc is None else lidc.outline,
            n_pixels=self.settings.trials.region_pixels,
            pixel_mm=self.settings.scanner.pixel_mm,
        )
        self.examples = example_trials(self.settings, test)
        self.observer_notes: dict[str, str] = {}
        self._cache: dict[str, Images] = {}

    def images(self, arm: Arm) -> Images:
        """The arm's images of every split, HU."""
        if arm.name == LOW_DOSE:
            return {name: crop(trials.noisy, self.margin) for name, trials in self.splits.items()}
        if arm.alpha is not None and arm.task_weight is not None:
            # The mean of two networks' outputs; nothing is trained.
            control = self._denoised(Arm(CONTROL, arm.seed).file_stem)
            task = self._denoised(Arm(f"lambda={arm.task_weight:g}", arm.seed).file_stem)
            a = np.float32(arm.alpha)
            return {name: (1 - a) * control[name] + a * task[name] for name in SPLITS_SEEN}
        return self._denoised(arm.file_stem)

    def _denoised(self, stem: str) -> Images:
        if stem not in self._cache:
            denoiser, card = load_denoiser(self.run, stem)
            self._cache[stem] = {
                name: denoise(
                    denoiser,
                    trials.noisy,
                    device=self.run.device,
                    dtype=str(card["dtype"]),
                    margin=self.margin,
                )
                for name, trials in self.splits.items()
            }
        return self._cache[stem]

    def forget(self, keep: set[str]) -> None:
        """Free the images of denoisers that no later arm needs."""
        self._cache = {stem: images for stem, images in self._cache.items() if stem in keep}

    def evaluate(self, arm: Arm) -> ArmResult:
        """Observers and image quality of one arm."""
        images = self.images(arm)
        fresh = fit_fresh(self.settings, images, self.splits, device=self.run.device)
        self.observer_notes |= fresh.notes
        validation_auc = dict(fresh.validation_auc)
        scores = {}
        template = None
        if arm.trained:
            head = load_head(self.run, arm)
            # The same internal noise in every arm, so that paired differences are those of the images.
            noise = {name: torch.Generator().manual_seed(self.settings.seed + i) for i, name in enumerate(SPLITS_SEEN)}
            scores[JOINT] = head.test_statistic(images["test"], noise["test"])
            joint = head.test_statistic(images["validation"], noise["validation"])
            validation_auc[JOINT] = split_auc(joint, self.splits["validation"].signal_present)
            template = head.template.detach().double().cpu().numpy()
        scores |= {name: one.test_statistic(images["test"]) for name, one in fresh.observers.items()}
        data_range = self.settings.evaluation.data_range_hu
        low = self.settings.evaluation.data_low_hu
        test, reference = images["test"], self.reference["test"]
        disc_mm, _, sign = false_signal(self.settings)
        disc_px = disc_mm / self.settings.scanner.pixel_mm
        quality = {
            "mse_hu2": mse_hu2(test, reference),
            "psnr_db": psnr_db(test, reference, data_range_hu=data_range),
            "ssim": ssim(test, reference, data_range_hu=data_range, low_hu=low),
            "site_bias_hu": site_bias_hu(test, reference, self.site),
            "peak_disc_hu": peak_disc_hu(sign * (test - reference), diameter_px=disc_px),
        }
        return ArmResult(
            arm=arm,
            scores=scores,
            quality=quality,
            regularization=fresh.regularization,
            validation_auc=validation_auc,
            validation_rmse_hu=float(np.sqrt(np.mean(mse_hu2(images["validation"], self.reference["validation"])))),
            template=template,
            examples=test[self.examples],
        )


def evaluate_all(run: RunFolder, *, progress: Progress | None = None) -> tuple[Evaluator, list[ArmResult]]:
    """Evaluate every arm of a run.

    Parameters
    ----------
    run
        A run folder with trials and trained arms.
    progress
        Called as (steps done, steps in all, what is next): one step an arm, and one for the intervals.

    Raises
    ------
    UserError
        If trials or weights are missing.
    """
    evaluator = Evaluator(run)
    arms = arms_of(run.settings)
    results = []
    for done, arm in enumerate(arms):
        if progress is not None:
            progress(done, len(arms) + 1, arm.name)
        results.append(evaluator.evaluate(arm))
        blended = {
            stem
            for later in arms[done + 1 :]
            if later.alpha is not None
            for stem in (
                Arm(CONTROL, later.seed).file_stem,
                Arm(f"lambda={later.task_weight:g}", later.seed).file_stem,
            )
        }
        evaluator.forget(blended)
    if progress is not None:
        progress(len(arms), len(arms) + 1, "intervals")
    return evaluator, results


__all__ = ["FRESH", "JOINT", "MSE", "ArmResult", "Evaluator", "evaluate_all"]
