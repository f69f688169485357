"""From denoisers to results: observers and image quality of every arm on the test trials."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.config import Settings
from taskct.denoisers.classical import filter_images
from taskct.denoisers.denoiser import denoise
from taskct.denoisers.task_path import correct_images
from taskct.errors import UserError
from taskct.files import named, write_npz
from taskct.metrics.image_quality import mse_hu2, peak_disc_hu, psnr_db, site_bias_hu, ssim
from taskct.metrics.roc import auc
from taskct.names import JOINT, LOW_DOSE
from taskct.observer_registry import OBSERVERS, observers_in_study
from taskct.observers.base import TrainingTrials
from taskct.observers.fresh import Eye, Fitted, decided, each_alone, observer_told
from taskct.observers.fresh import fit_fresh as fit_one
from taskct.observers.internal_noise import FittedNoise, HumanLike, read_fitted_noise
from taskct.observers.limit import LimitFitter
from taskct.observers.slnn_head import SLNNHead
from taskct.progress import Progress
from taskct.seeds import derive_seed
from taskct.simulation.insert import lidc_of
from taskct.study.arm_result import (
    ArmResult,
    Images,
    NearLimitScores,
    made_anew_by,
    read_images,
    read_templates,
    write_result,
    write_templates,
)
from taskct.study.arms import Arm
from taskct.study.conventions import convention_rows
from taskct.study.frozen import (
    REFERENCE,
    Template,
    criterion,
    false_positives,
    frozen_names,
    frozen_scores,
    key_of,
    source_name,
    sources_of,
    templates_of,
)
from taskct.study.groups import group_of
from taskct.study.harm import Harm, HarmMeter, site_of
from taskct.study.imports import TWINS, has_import, read_import, shown_trials
from taskct.study.models import denoiser_of_arm, head_statistic, load_head, path_of_arm, squared_error_of
from taskct.study.panel import first_trials
from taskct.study.physics import PhysicsMeter
from taskct.study.run_folder import RunFolder
from taskct.trials.trials import Trials, crop

SPLITS_SEEN = ("validation", "fresh", "test")
FRESH = observers_in_study("always")
"""Observers that every study fits afresh; `observers.more` and `observers.bound` name others."""

HUMAN = "human"
"""The observer with the noise of `observers.human`."""


def fresh_names(settings: Settings, arm: Arm | None = None) -> tuple[str, ...]:
    """The observers that a study fits afresh to the images of an arm, or of every arm."""
    o = settings.observers
    bound = (o.bound,) if o.bound is not None and arm is not None and arm.name == LOW_DOSE else ()
    human = () if o.human is None else (HUMAN,)
    return tuple(dict.fromkeys((*FRESH, *o.more, *human, *bound)))


def human_noise(settings: Settings) -> FittedNoise | None:
    """The internal noise of people that a study's file holds; None if it names none, a `UserError` if it is broken."""
    if settings.observers.human is None:
        return None
    try:
        noise = read_fitted_noise(Path(settings.observers.human))
        HumanLike(human=noise, pixel_mm=settings.scanner.pixel_mm)  # says that pixels differ
    except UserError as error:
        raise UserError(f"observers.human: {error}; --set observers.human=FILE names another, null none") from error
    return noise


def fit_fresh(
    settings: Settings,
    images: Images,
    splits: dict[str, Trials],
    *,
    names: Sequence[str] | None = None,
    shared: TrainingTrials | None = None,
    device: torch.device | str = "cpu",
) -> tuple[dict[str, Fitted], dict[str, str]]:
    """Fit fresh observers on the fresh split, their regularization chosen on the validation split; all, or those named.

    `shared` are the trials of the fresh split, for whoever needs them afterwards; what one works out serves the other.
    Returns them by name, and why others did not suit the images; a `UserError` if none does.
    """
    o = settings.observers
    eye = Eye(settings.scanner.pixel_mm, o.viewing_distance_mm, o.magnification, o.internal_noise_hu)
    if shared is None:
        shared = TrainingTrials.of(images["fresh"], splits["fresh"].signal_present)
    held_out = images["validation"], splits["validation"].signal_present

    wanted = fresh_names(settings) if names is None else names
    human = human_noise(settings) if HUMAN in wanted else None

    def fit(name: str) -> Fitted:
        observer = observer_told(name, eye, seed=settings.seed, device=device, human=human)
        chosen_from = OBSERVERS[name].candidates
        return fit_one(observer, shared, validation=held_out, values=getattr(o, chosen_from) if chosen_from else ())

    return each_alone(wanted, fit)


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
        self.splits = {name: run.read(name) for name in SPLITS_SEEN}
        twins = shown_trials(run, TWINS)
        self.shown = self.splits | ({} if twins is None else {TWINS: twins})
        self.reference = {name: trials.reference_regions for name, trials in self.splits.items()}
        test = self.splits["test"]
        lidc = lidc_of(self.settings)
        self.site = site_of(self.settings, test)
        self.examples = first_trials(self.settings, test)
        self.harm = HarmMeter(self.settings, test, self.site, lidc=None if lidc is None else lidc.outline)

    def images(self, arm: Arm) -> Images:
        """The arm's images of every split, HU; a `UserError` if what they come from is missing or broken."""
        if arm.mixed:
            # Made of two networks' outputs, which their own evaluations left behind; no network runs.
            control, task = (read_images(self.run.evaluation_of(part)) for part in arm.parts)
            share = share_of(self.run, arm)
            return {name: mix(share, control[name], task[name]) for name in self.shown if name in task}
        return images_of_trials(self.run, arm, self.shown)

    def _joint(self, arm: Arm, images: Images, split: str) -> NDArray[np.float64]:
        group = group_of(arm.settings(self.settings), self.splits[split])
        # The same internal noise in every arm, so that paired differences are those of the images.
        seed = derive_seed(self.settings.seed, "evaluate", "internal noise", split)
        return head_statistic(load_head(self.run, arm), images[split], group, seed=seed)

    def evaluate(
        self,
        arm: Arm,
        images: Images,
        *,
        given: Mapping[str, Template] | None = None,
        progress: Progress | None = None,
    ) -> ArmResult:
        """Observers and image quality of the images of one arm, from `images`.

        `given` are observers fitted on other images, by "SOURCE/OBSERVER", that are shown these images unchanged. An
        observer that they do not suit is missing from the scores, and a note says why; a `UserError` if they suit none.
        """

        def tell(done: int, text: str) -> None:
            if progress is not None:
                progress(done, 3, text)

        tell(0, "observers")
        shared = TrainingTrials.of(images["fresh"], self.splits["fresh"].signal_present)
        names = fresh_names(self.settings, arm)
        fresh, failed = fit_fresh(
            self.settings, images, self.splits, names=names, shared=shared, device=self.run.device
        )
        tell(1, "test trials")
        validation_auc = {name: one.validation_auc for name, one in fresh.items()}
        scores = {}
        criteria: dict[str, float] = {}
        template = None
        if arm.trained and arm.head is not None:
            scores[JOINT] = self._joint(arm, images, "test")
            joint = self._joint(arm, images, "validation")
            held = self.splits["validation"].signal_present
            validation_auc[JOINT] = auc(joint[held], joint[~held])
            criteria[JOINT] = criterion(joint[~held])
            head = load_head(self.run, arm)
            if isinstance(head, SLNNHead):  # several heads have no one template to show
                template = head.template.detach().double().cpu().numpy()
        present = self.splits["test"].signal_present
        tested, undecided = each_alone(fresh, lambda name: decided(fresh[name].observer, images["test"], present))
        scores |= tested
        templates = self._templates(arm, images, fresh)
        carried = {**(given or {}), **templates}
        frozen = frozen_scores(carried, images["test"])
        near, no_limit = self._near_limit(fresh, images, shared)
        tell(2, "image quality")
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
        notes = {name: "; ".join(one.notes) for name, one in fresh.items() if one.notes}
        harm = self.harm.of(test)
        physics = Harm(*PhysicsMeter(self.harm, self.splits["test"].noisy_regions).of(test))
        criteria |= self._criteria(fresh, tested, images["validation"])
        criteria |= {name: one.criterion for name, one in carried.items()}
        harm.numbers["false_positives"] = false_positives(scores | frozen, criteria, self.harm.resampling)
        tell(3, "")
        return ArmResult(
            arm=arm,
            scores=scores,
            quality=quality,
            regularization={name: one for name in tested if (one := fresh[name].value) is not None},
            validation_auc={name: area for name, area in validation_auc.items() if name in scores},
            validation_rmse_hu=float(np.sqrt(np.mean(mse_hu2(images["validation"], self.reference["validation"])))),
            template=template,
            examples=test[self.examples],
            notes=notes | {name: f"left out of {arm.name}: {why}" for name, why in (failed | undecided).items()},
            frozen=frozen,
            templates=templates,
            harm=harm,
            physics=physics,
            conventions=convention_rows(self.settings, test, reference, self.harm.resampling),
            near_limit=near,
            no_limit=no_limit,
        )

    def _near_limit(
        self, fresh: Mapping[str, Fitted], images: Images, shared: TrainingTrials
    ) -> tuple[dict[str, NearLimitScores], dict[str, str]]:
        """Fresh observers near their limit of many training trials, and why others have none that is known."""
        o, held_out = self.settings.observers, self.splits["validation"]
        fitter = LimitFitter(shared, images.get(TWINS), (images["validation"], held_out.signal_present))
        found, why_not = {}, {}
        for name, one in fresh.items():
            candidates = OBSERVERS[name].candidates
            try:
                near = fitter.near_limit(one.observer, getattr(o, candidates) if candidates else ())
            except UserError as error:
                why_not[name] = str(error)
                continue
            scores = near.observer.test_statistic(images["test"])
            found[name] = NearLimitScores(scores, near.kept, near.kept_std, near.value)
        return found, why_not

    def _templates(self, arm: Arm, images: Images, fresh: Mapping[str, Fitted]) -> dict[str, Template]:
        """Observers of this arm's images that others meet; the low-dose images bring those of the references along."""
        names, present = frozen_names(self.settings), self.splits["validation"].signal_present
        source = source_name(arm, self.settings)
        if source is None:
            return {}
        kept = {key_of(source, n): one for n, one in templates_of(fresh, names, images["validation"], present).items()}
        if arm.name == LOW_DOSE:
            try:
                of_reference, _ = fit_fresh(self.settings, self.reference, self.splits, names=names)
            except UserError:  # references of one background, which have nothing to fit a covariance to
                of_reference = {}
            found = templates_of(of_reference, names, self.reference["validation"], present)
            kept |= {key_of(REFERENCE, name): one for name, one in found.items()}
        return kept

    def _criteria(
        self, fresh: Mapping[str, Fitted], tested: Mapping[str, Any], validation: NDArray[np.float32]
    ) -> dict[str, float]:
        """The criterion of every observer fitted afresh, from the signal-absent validation trials."""
        absent = ~self.splits["validation"].signal_present
        return {name: criterion(fresh[name].observer.test_statistic(validation)[absent]) for name in tested}


def images_of_trials(
    run: RunFolder, arm: Arm, splits: Mapping[str, Trials], index: NDArray[np.int64] | slice = slice(None)
) -> Images:
    """The regions of trials, HU, as one arm shows them that is not mixed, by their split.

    `index` are the numbers, within the split, of the trials given: what was denoised elsewhere is looked up by them.
    """
    margin = run.settings.trials.margin_pixels
    how: dict[str, Any]
    if arm.name == LOW_DOSE:
        return {name: trials.noisy_regions for name, trials in splits.items()}
    if arm.imported is not None and arm.from_elsewhere:
        # Twins may not have been shown to it.
        there = [name for name in splits if name != TWINS or has_import(run, arm.imported, name)]
        return {name: crop(read_import(run, arm.imported, name)[index], margin) for name in there}
    if arm.filter is not None:
        strength = filter_parameters(run.card(arm.file_stem))
        return {n: crop(filter_images(arm.filter, trials.noisy, strength), margin) for n, trials in splits.items()}
    if arm.imported is not None:
        path, card = path_of_arm(run, arm)
        how = {"device": run.device, "dtype": str(card["dtype"]), "margin": margin}
        there = [name for name in splits if name != TWINS or has_import(run, arm.imported, name)]
        given = {name: read_import(run, arm.imported, name)[index] for name in there}
        return {n: correct_images(path, splits[n].noisy, given[n], **how) for n in there}
    denoiser: nn.Module
    denoiser, card = denoiser_of_arm(run, arm) if arm.price is None else path_of_arm(run, arm)
    how = {"device": run.device, "dtype": str(card["dtype"]), "margin": margin}
    return {name: denoise(denoiser, trials.noisy, **how) for name, trials in splits.items()}


def share_of(run: RunFolder, arm: Arm) -> float:
    """The second part's share in the images of an arm that is mixed; of a task path it may be above 1."""
    if arm.price is None:
        return arm.alpha or 0.0
    square = squared_error_of(run, arm)
    return square.strength(arm.price) / square.strength(arm.trained_at or 0.0)


def mix(share: float, control: NDArray[np.float32], task: NDArray[np.float32]) -> NDArray[np.float32]:
    """Images on the line from the control's to the task's, HU."""
    a = np.float32(share)
    return np.asarray((1 - a) * control + a * task, dtype=np.float32)


def evaluate_arm(run: RunFolder, arm: Arm, *, keep_images: bool, progress: Progress | None = None) -> None:
    """Evaluate an arm, whose model and trials are there, and keep what was found, with its images if asked."""
    if progress is not None:
        progress(0, 3, "images")
    evaluator = Evaluator(run)
    images = evaluator.images(arm)
    place = run.evaluated(arm.file_stem)
    if keep_images:
        write_npz(named(place, ".images.npz"), dict(images), compress=False)
    given: dict[str, Template] = {}
    for source in sources_of(arm, run.settings):
        given |= read_templates(run.evaluation_of(source))
    result = evaluator.evaluate(arm, images, given=given, progress=progress)
    if source_name(arm, run.settings) is not None:
        write_templates(place, result.templates)
    write_result(place, result)


def filter_parameters(card: Path) -> dict[str, Any]:
    """What a classical filter was tuned to; a `UserError` if its card is missing or broken."""
    with made_anew_by("train", card):
        return dict(json.loads(card.read_text(encoding="utf-8"))["parameters"])
