"""From trials to denoisers: pretrain once a seed, then fine-tune every λ from there."""

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import nn

from taskct.config import Settings
from taskct.denoisers.denoiser import Denoiser, denoise, make_network, receptive_radius
from taskct.errors import UserError
from taskct.observers import SLNN, SLNNHead, SmallSampleWarning
from taskct.observers.eye import apply_eye_filter
from taskct.study.arms import MSE, Arm, arms_of
from taskct.study.stages import RunFolder
from taskct.training.checkpoints import load_weights, read_card, save_weights
from taskct.training.layers import freeze_all_but
from taskct.training.loop import Epoch, TrainingDiverged, mean_squared_error, train
from taskct.trials import Trials, crop, read_trials

Progress = Callable[[int, int, str], None]

LAST_GOOD = ".last-good"
"""Appended to an arm's file name when its training went wrong."""

HEAD_START_TRIALS = 2000
"""Trials on which the head is fitted before joint training starts."""

HEAD_START_WEIGHT_DECAY = 1.0
"""Strong enough that the start is no choice to tune: joint training goes on from there in every arm alike."""


MIN_SPREAD_HU = 1e-3
"""A denoiser whose images differ from trial to trial by less than this has collapsed."""


def build_denoiser(settings: Settings, *, offset_hu: float, scale_hu: float, seed: int) -> Denoiser:
    """A denoiser with freshly drawn weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = make_network(settings.denoiser.network, settings.denoiser.arguments)
    return Denoiser(network, offset_hu=offset_hu, scale_hu=scale_hu)


def build_head(settings: Settings, kind: str, *, offset_hu: float, scale_hu: float) -> SLNNHead:
    """An untrained observer head on the study's region."""
    side = settings.trials.region_pixels
    o = settings.observers
    eye: dict[str, Any] = {}
    if kind == "eye":
        eye = {
            "pixel_mm": settings.scanner.pixel_mm,
            "internal_noise_hu": o.internal_noise_hu,
            "viewing_distance_mm": o.viewing_distance_mm,
            "magnification": o.magnification,
        }
    return SLNNHead(
        (side, side), kind=cast(Literal["pixel", "eye"], kind), offset_hu=offset_hu, scale_hu=scale_hu, **eye
    )


def load_denoiser(run: RunFolder, stem: str) -> tuple[Denoiser, dict[str, Any]]:
    """A trained denoiser of a run and its card."""
    path = run.weights(stem)
    card = read_card(path)
    network = make_network(str(card["network"]), card["arguments"])
    denoiser = Denoiser(network, offset_hu=0.0, scale_hu=1.0)
    load_weights(path, {"denoiser": denoiser})
    return denoiser.to(run.device), card


def load_head(run: RunFolder, arm: Arm) -> SLNNHead:
    """The observer head that was trained with an arm."""
    if arm.head is None:
        raise ValueError(f"{arm.name} has no head")
    head = build_head(run.settings, arm.head, offset_hu=0.0, scale_hu=1.0)
    load_weights(run.weights(arm.file_stem), {"head": head})
    return head


def _card(settings: Settings, stage: str, history: list[Epoch], **more: object) -> dict[str, Any]:
    epochs = [{k: (None if math.isnan(v) else v) for k, v in dataclasses.asdict(e).items()} for e in history]
    return {
        "schema": 1,
        "stage": stage,
        "network": settings.denoiser.network,
        "arguments": settings.denoiser.arguments,
        "dtype": settings.training.dtype,
        "epochs": epochs,
        **more,
    }


def _keep_last_good(run: RunFolder, stem: str, modules: dict[str, nn.Module], error: TrainingDiverged) -> UserError:
    """Save the weights from before a training went wrong, as a model that `taskct denoise` can load."""
    for name, module in modules.items():
        prefix = name + "."
        module.load_state_dict({k.removeprefix(prefix): v for k, v in error.last_good.items() if k.startswith(prefix)})
    path = run.weights(stem + LAST_GOOD)
    save_weights(path, modules, _card(run.settings, "last good", []))
    return UserError(f"{error}; the weights at the start of that epoch are in {path}")


def _forget_last_good(run: RunFolder, stem: str) -> None:
    path = run.weights(stem + LAST_GOOD)
    for file in (path, path.with_suffix(".json")):
        file.unlink(missing_ok=True)


def pretrain(run: RunFolder, seed: int, trials: Trials, *, progress: Progress | None = None) -> None:
    """Train the denoiser of one seed by MSE and save it."""
    settings, t, margin = run.settings, run.settings.training, run.settings.trials.margin_pixels
    scale_hu = float(np.std(trials.noisy))
    denoiser = build_denoiser(settings, offset_hu=float(np.mean(trials.noisy)), scale_hu=scale_hu, seed=seed)
    stem = Arm(MSE, seed).file_stem
    try:
        history = train(
            denoiser,
            trials,
            n_epochs=t.pretrain_epochs,
            batch_size=t.batch_size,
            learning_rate=t.learning_rate,
            margin=margin,
            seed=seed,
            mse_pretrained=scale_hu**2,
            device=run.device,
            dtype=t.dtype,
            stage=f"pretrain, seed {seed}",
            progress=progress,
        )
    except TrainingDiverged as error:
        raise _keep_last_good(run, stem, {"denoiser": denoiser}, error) from None
    validation = read_trials(run.trials, "validation")
    denoised = denoise(denoiser, validation.noisy, device=run.device, dtype=t.dtype, margin=margin)
    advice = f"lower training.learning_rate ({t.learning_rate:g}) or change denoiser.network"
    check_images(denoised, stage=f"pretrain, seed {seed}", advice=advice)
    mse = mean_squared_error(denoised, crop(validation.reference, margin))
    radius = receptive_radius(denoiser.network.cpu(), n_pixels=trials.noisy.shape[1])
    card = _card(settings, "pretrain", history, seed=seed, mse_validation_hu2=mse, receptive_radius_pixels=radius)
    save_weights(run.weights(stem), {"denoiser": denoiser}, card)
    _forget_last_good(run, stem)


def finetune(run: RunFolder, arm: Arm, trials: Trials, *, progress: Progress | None = None) -> None:
    """Fine-tune one arm jointly with its observer head, from the pretrained denoiser, and save both.

    The head starts as the SLNN fitted to the pretrained denoiser's images, in every arm alike, so that the task's
    gradient means something from the first step on.
    """
    if arm.task_weight is None or arm.head is None:
        raise ValueError(f"{arm.name} is not fine-tuned")
    settings, t, margin = run.settings, run.settings.training, run.settings.trials.margin_pixels
    denoiser, card = load_denoiser(run, Arm(MSE, arm.seed).file_stem)
    freeze_all_but(denoiser.network, t.trainable)
    start = slice(0, HEAD_START_TRIALS)
    images = denoise(denoiser, trials.noisy[start], device=run.device, dtype=t.dtype, margin=margin)
    stage = f"fine-tune {arm.name}, seed {arm.seed}"
    advice = "pretrain longer (training.pretrain_epochs), with another training.learning_rate or denoiser.network"
    check_images(images, stage=stage, advice=advice)
    head = build_head(settings, arm.head, offset_hu=float(images.mean()), scale_hu=float(images.std()))
    try:
        start_head(head, images, trials.signal_present[start], weight_decay=HEAD_START_WEIGHT_DECAY)
    except RuntimeError as error:
        raise UserError(f"{stage}: the observer head cannot be started ({error}); {advice}") from error
    try:
        history = train(
            denoiser,
            trials,
            n_epochs=t.finetune_epochs,
            batch_size=t.batch_size,
            learning_rate=t.finetune_learning_rate,
            margin=margin,
            seed=arm.seed + 1_000_003,
            head=head,
            head_learning_rate=t.head_learning_rate,
            head_weight_decay=t.head_weight_decay,
            task_weight=arm.task_weight,
            mse_pretrained=float(card["mse_validation_hu2"]),
            device=run.device,
            dtype=t.dtype,
            stage=stage,
            progress=progress,
        )
    except TrainingDiverged as error:
        raise _keep_last_good(run, arm.file_stem, {"denoiser": denoiser, "head": head}, error) from None
    more = {"seed": arm.seed, "task_weight": arm.task_weight, "head": arm.head, "trainable": t.trainable}
    more["mse_validation_hu2"] = card["mse_validation_hu2"]
    save_weights(
        run.weights(arm.file_stem),
        {"denoiser": denoiser, "head": head},
        _card(settings, "finetune", history, **more),
    )


def check_images(images: np.ndarray, *, stage: str, advice: str) -> None:
    """Refuse the images of a denoiser that nothing can be measured on.

    Parameters
    ----------
    images
        HU, shape `(n, height, width)`.
    stage, advice
        For the message.

    Raises
    ------
    UserError
        If a value is not finite, or the images are all alike, to `MIN_SPREAD_HU`.
    """
    if not np.isfinite(images).all():
        raise UserError(f"{stage}: the denoiser's images are not finite; {advice}")
    if float(np.ptp(images, axis=0).max()) < MIN_SPREAD_HU:
        raise UserError(f"{stage}: the denoiser has collapsed, its image is the same for every trial; {advice}")


def start_head(head: SLNNHead, images: np.ndarray, signal_present: np.ndarray, *, weight_decay: float) -> None:
    """Set a head's weights to those of an SLNN fitted to what the head sees."""
    with torch.no_grad():
        seen = torch.from_numpy(images) - head.offset_hu
        if head.kind == "eye":
            seen = apply_eye_filter(seen, head.response)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SmallSampleWarning)  # a start for joint training, no figure of the report
            slnn = SLNN(weight_decay=weight_decay).fit(seen.numpy(), signal_present)
        template = torch.from_numpy(slnn.template_)
        head.weight.copy_(template * float(head.scale_hu) * math.sqrt(template.numel()))
        head.bias.fill_(slnn.offset_)


def train_all(run: RunFolder, *, progress: Callable[[str], Progress] | None = None) -> None:
    """Train what is not trained yet: the pretrained denoiser of every seed and every arm.

    Parameters
    ----------
    run
        A run folder with trials.
    progress
        Opens the progress of a stage by its title.

    Raises
    ------
    UserError
        If there are no trials, or training diverges.
    """
    trials: Trials | None = None
    for arm in arms_of(run.settings):
        if not (arm.trained or arm.name == MSE):
            continue
        depends_on = ["simulate"] if arm.name == MSE else ["simulate", f"pretrain seed={arm.seed}"]
        name = f"pretrain seed={arm.seed}" if arm.name == MSE else f"finetune {arm.name} seed={arm.seed}"
        outputs = [run.weights(arm.file_stem), run.weights(arm.file_stem).with_suffix(".json")]
        if run.is_done(name, outputs, depends_on):
            continue
        if trials is None:
            trials = read_trials(run.trials, "train")
        report = None if progress is None else progress(name)

        def work(arm: Arm = arm, trials: Trials = trials, report: Progress | None = report) -> None:
            if arm.name == MSE:
                pretrain(run, arm.seed, trials, progress=report)
            else:
                finetune(run, arm, trials, progress=report)

        run.run_stage(name, work, outputs, depends_on)
