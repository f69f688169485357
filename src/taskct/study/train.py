"""From trials to models: one arm at a time, pretrained by MSE, fine-tuned with its task, or tuned if it is a filter."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import torch
from torch import nn

from taskct.config import Settings
from taskct.denoisers.classical import filter_images, tune
from taskct.denoisers.denoiser import denoise
from taskct.denoisers.reach import receptive_radius
from taskct.denoisers.sizes import Padded
from taskct.errors import UserError
from taskct.files import write_text
from taskct.progress import Progress
from taskct.seeds import derive_seed
from taskct.simulation.insert import lidc_of
from taskct.study.arms import Arm
from taskct.study.groups import group_of
from taskct.study.models import (
    SIZE_MULTIPLE,
    build_denoiser,
    build_head,
    channels,
    head_kinds,
    load_denoiser,
    network_dtype,
    size_multiple,
)
from taskct.study.run_folder import RunFolder
from taskct.tasks.shapes import render
from taskct.tasks.signals import Signals
from taskct.training.checkpoints import save_weights
from taskct.training.compilation import can_compile, pays
from taskct.training.layers import freeze_all_but
from taskct.training.log import Ending, TrainingLog
from taskct.training.loop import Epoch, TrainingDiverged, TrainingFailed, mean_squared_error, train
from taskct.training.losses import TASKS, DetectabilityTask, SeveralTasks, SLNNTask, TaskLoss
from taskct.training.parallel import wait_for_all
from taskct.training.ranks import is_first
from taskct.trials.trials import Trials, crop

LAST_GOOD = ".last-good"
"""Appended to an arm's file name when its training went wrong."""

START_TRIALS = 2000
"""Trials that a task is started on, before joint training."""

MIN_SPREAD_HU = 1e-3
"""A denoiser whose images differ from trial to trial by less than this has collapsed."""


def train_arm(run: RunFolder, arm: Arm, *, progress: Progress | None = None) -> None:
    """Make the model of one arm and save it, going on from where an earlier attempt was stopped.

    Parameters
    ----------
    run
        A run folder with trials and the models that the arm starts from.
    arm
        A pretrained denoiser, a fine-tuned one, or a classical filter.
    progress
        Called as (done, in all, what the losses are).

    Raises
    ------
    TrainingDiverged
        If a loss was not finite; what was there before is kept as a model of its own.
    TrainingFailed
        If it came to nothing for another reason that lies with this arm: its images are all alike, or memory is short.
    UserError
        If something it needs is missing.
    """
    try:
        if arm.filter is not None:
            tune_filter(run, arm, progress=progress)
        elif arm.pretrained:
            pretrain(run, arm, progress=progress)
        elif arm.trained:
            finetune(run, arm, progress=progress)
        else:
            raise ValueError(f"{arm.name} has nothing to train")
    except torch.OutOfMemoryError as error:
        size = arm.settings(run.settings).training.batch_size
        first = str(error).splitlines()[0]
        raise TrainingFailed(
            f"{arm.name}, seed {arm.seed}: out of memory on {run.device} ({first}); lower training.batch_size ({size}) "
            "or take a smaller network"
        ) from error


def tune_filter(run: RunFolder, arm: Arm, *, progress: Progress | None = None) -> None:
    """Choose the strength of a classical filter on the validation trials and save it as a card."""
    if arm.filter is None:
        raise ValueError(f"{arm.name} is no filter")
    validation, margin = run.read("validation"), run.settings.trials.margin_pixels
    found = tune(arm.filter, validation.noisy, validation.reference, margin=margin, progress=progress)
    denoised = crop(filter_images(arm.filter, validation.noisy, found), margin)
    mse = mean_squared_error(denoised, validation.reference_regions)
    card = {"schema": 1, "stage": "tune", "filter": arm.filter, "parameters": found, "mse_validation_hu2": mse}
    write_text(run.weights(arm.file_stem).with_suffix(".json"), json.dumps(card, indent=2) + "\n")


def pretrain(run: RunFolder, arm: Arm, *, progress: Progress | None = None) -> None:
    """Train a denoiser by MSE and save it."""
    settings, margin = arm.settings(run.settings), run.settings.trials.margin_pixels
    t = settings.training
    trials, validation = (run.read(split) for split in ("train", "validation"))
    stage = f"pretrain {arm.name}, seed {arm.seed}"
    scale_hu = float(np.std(trials.noisy))
    root = derive_seed(arm.seed, "pretrain")
    denoiser = build_denoiser(
        settings, offset_hu=float(np.mean(trials.noisy)), scale_hu=scale_hu, seed=derive_seed(root, "weights")
    )
    history = _train(
        run,
        arm,
        {"denoiser": denoiser},
        trials=trials,
        validation=validation,
        n_epochs=t.pretrain_epochs,
        learning_rate=t.learning_rate,
        seed=root,
        mse_pretrained=scale_hu**2,
        patch_pixels=t.patch_pixels,
        stage=stage,
        progress=progress,
    )
    dtype = network_dtype(settings, run.device)
    denoised = denoise(denoiser, validation.noisy, device=run.device, dtype=dtype, margin=margin)
    advice = f"lower training.learning_rate ({t.learning_rate:g}) or change denoiser.network"
    check_images(denoised, stage=stage, advice=advice)
    mse = mean_squared_error(denoised, validation.reference_regions)
    view = Padded(denoiser.network.cpu(), denoiser.size_multiple)
    radius = receptive_radius(view, n_pixels=trials.noisy.shape[1])
    more = {"mse_validation_hu2": mse, "receptive_radius_pixels": radius}
    _save(run, arm, {"denoiser": denoiser}, _card(settings, arm, "pretrain", history, device=run.device, **more))


def finetune(run: RunFolder, arm: Arm, *, progress: Progress | None = None) -> None:
    """Train one arm jointly with its task, from the pretrained denoiser or from scratch, and save what was trained.

    A task starts from the pretrained denoiser's images, in every arm alike, so that its gradient means something from
    the first step on.
    """
    if arm.task_weight is None:
        raise ValueError(f"{arm.name} is not fine-tuned")
    settings, margin = arm.settings(run.settings), run.settings.trials.margin_pixels
    t = settings.training
    trials, validation = (run.read(split) for split in ("train", "validation"))
    stage = f"fine-tune {arm.name}, seed {arm.seed}"
    root = derive_seed(arm.seed, "finetune")  # the same for every arm: they see the same trials in the same order
    denoiser, card = load_denoiser(run, arm.start)
    first = slice(0, START_TRIALS)
    dtype = network_dtype(settings, run.device)
    images = denoise(denoiser, trials.noisy[first], device=run.device, dtype=dtype, margin=margin)
    advice = "pretrain longer (training.pretrain_epochs), with another training.learning_rate or denoiser.network"
    check_images(images, stage=stage, advice=advice)
    n_epochs, learning_rate = t.finetune_epochs, t.finetune_learning_rate
    if t.start == "scratch":
        offset_hu, scale_hu = float(denoiser.offset_hu), float(denoiser.scale_hu)
        denoiser = build_denoiser(
            settings, offset_hu=offset_hu, scale_hu=scale_hu, seed=derive_seed(root, "weights")
        ).to(run.device)
        n_epochs, learning_rate = n_epochs + t.pretrain_epochs, t.learning_rate
    freeze_all_but(denoiser.network, t.trainable)
    task = make_task(settings, images)
    group = torch.from_numpy(group_of(settings, trials))
    signal = _signals(settings, trials) if task.needs_signal else None
    try:
        task.start(
            torch.from_numpy(images),
            torch.from_numpy(np.array(trials.reference_regions[first])),
            torch.from_numpy(trials.signal_present[first]),
            seed=derive_seed(root, "task"),
            signal=None if signal is None else crop(signal[first], margin),
            group=group[first],
        )
    except UserError as error:
        raise TrainingFailed(f"{stage}: the task cannot be started: {error}; {advice}") from error
    modules: dict[str, nn.Module] = {"denoiser": denoiser}
    members = task.members if isinstance(task, SeveralTasks) else [task]
    heads = [one.head for one in members if isinstance(one, SLNNTask)]
    modules |= {f"head{number + 1 if number else ''}": head for number, head in enumerate(heads)}
    mse_pretrained = float(card["mse_validation_hu2"])
    history = _train(
        run,
        arm,
        modules,
        trials=trials,
        validation=validation,
        n_epochs=n_epochs,
        learning_rate=learning_rate,
        seed=root,
        task=task,
        task_learning_rate=t.head_learning_rate,
        task_weight_decay=t.head_weight_decay,
        task_weight=arm.task_weight,
        mse_pretrained=mse_pretrained,
        signal=signal,
        validation_signal=_signals(settings, validation) if task.needs_signal else None,
        group=group,
        validation_group=torch.from_numpy(group_of(settings, validation)),
        stage=stage,
        progress=progress,
    )
    more = {name: getattr(t, name) for name in ("loss", "head", "head_training", "head_per", "start", "trainable")}
    more |= {"task_weight": arm.task_weight, "mse_validation_hu2": mse_pretrained}
    _save(run, arm, modules, _card(settings, arm, "finetune", history, device=run.device, **more))


def make_task(settings: Settings, images: np.ndarray) -> TaskLoss:
    """The task's loss that `training.loss` names, on regions like these of the start network, HU `(n, h, w)`."""
    t = settings.training
    if t.loss == "slnn":
        scaling = {"offset_hu": float(images.mean()), "scale_hu": float(images.std())}
        heads = [build_head(settings, kind, **scaling) for kind in head_kinds(settings)]
        tasks = [SLNNTask(head, training=t.head_training) for head in heads]
        return tasks[0] if len(tasks) == 1 else SeveralTasks(tasks)
    if t.loss == "detectability":
        side = settings.trials.region_pixels
        return DetectabilityTask(
            (side, side), channels(settings), internal_noise_hu=settings.observers.internal_noise_hu
        )
    return TASKS[t.loss]()


def _signals(settings: Settings, trials: Trials) -> torch.Tensor:
    """The signal alone of every trial, for absent ones that which might have been, HU with the margin, `(n, h, w)`."""
    images = render(
        Signals.from_columns(trials.truth),
        n_pixels=trials.noisy.shape[1],
        pixel_mm=settings.scanner.pixel_mm,
        slice_mm=settings.scanner.slice_mm,
        placed=True,
        lidc=None if (lidc := lidc_of(settings)) is None else lidc.outline,
    )
    return torch.from_numpy(images)


def _train(
    run: RunFolder,
    arm: Arm,
    modules: dict[str, nn.Module],
    *,
    n_epochs: int,
    trials: Trials,
    **how: Any,  # noqa: ANN401 - what else `train` takes
) -> list[Epoch]:
    """Run the loop with what every training of a study has in common."""
    settings = arm.settings(run.settings)
    t, dtype = settings.training, network_dtype(settings, run.device)
    n_steps = n_epochs * max(len(trials) // t.batch_size, 1)
    wanted = t.compile == "always" or (t.compile == "auto" and pays(n_steps=n_steps, device=run.device))
    if t.compile == "always" and not can_compile(run.device):
        raise UserError(
            "training.compile is always but there is no compiler (C++, or Triton on CUDA): set it to auto or never"
        )
    log = TrainingLog(run.path / "logs" / f"{arm.file_stem}.jsonl", extra=t.log_to) if is_first() else None
    ending: Ending = "KILLED"
    try:
        history = train(
            modules["denoiser"],
            trials,
            n_epochs=n_epochs,
            batch_size=t.batch_size,
            margin=run.settings.trials.margin_pixels,
            max_gradient_norm=t.max_gradient_norm,
            keep=t.keep,
            patience=t.patience,
            device=run.device,
            dtype=dtype,
            compile_network=wanted,
            state=run.state(arm.file_stem),
            identity=run.key(str(arm.stage), arm.depends_on),
            log=log,
            **how,
        )
        ending = "FINISHED"
    except TrainingDiverged as error:
        ending = "FAILED"
        if not is_first():
            raise
        path = _keep_last_good(run, arm, modules, error)
        raise TrainingDiverged(
            f"{error}; the weights at the start of that epoch are in {path}", error.last_good
        ) from None
    finally:
        if log is not None:
            log.close(ending)
    return history


def _card(
    settings: Settings, arm: Arm, stage: str, history: list[Epoch], *, device: torch.device, **more: object
) -> dict[str, Any]:
    epochs = [{k: (None if math.isnan(v) else v) for k, v in dataclasses.asdict(e).items()} for e in history]
    return {
        "schema": 1,
        "stage": stage,
        "arm": arm.name,
        "seed": arm.seed,
        "network": settings.denoiser.network,
        "arguments": settings.denoiser.arguments,
        SIZE_MULTIPLE: size_multiple(settings.denoiser.network, settings.denoiser.arguments),
        "dtype": network_dtype(settings, device),
        "pixel_mm": settings.scanner.pixel_mm,
        "epochs": epochs,
        **more,
    }


def _save(run: RunFolder, arm: Arm, modules: dict[str, nn.Module], card: dict[str, Any]) -> None:
    if is_first():
        _write(run, arm, modules, card)
    wait_for_all()


def _write(run: RunFolder, arm: Arm, modules: dict[str, nn.Module], card: dict[str, Any]) -> None:
    # The state stays until the stage is on record: a kill in between must cost nothing.
    save_weights(run.weights(arm.file_stem), modules, card)
    path = run.weights(arm.file_stem + LAST_GOOD)
    for file in (path, path.with_suffix(".json")):
        file.unlink(missing_ok=True)


def _keep_last_good(run: RunFolder, arm: Arm, modules: dict[str, nn.Module], error: TrainingDiverged) -> str:
    """Save the weights from before a training went wrong, as a model that `taskct denoise` can load."""
    denoiser = modules["denoiser"]
    prefix = "denoiser."
    denoiser.load_state_dict({k[len(prefix) :]: v for k, v in error.last_good.items() if k.startswith(prefix)})
    path = run.weights(arm.file_stem + LAST_GOOD)
    save_weights(
        path, {"denoiser": denoiser}, _card(arm.settings(run.settings), arm, "last good", [], device=run.device)
    )
    run.state(arm.file_stem).unlink(missing_ok=True)  # going on from it would go wrong again
    return str(path)


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
    TrainingFailed
        If a value is not finite, or the images are all alike, to `MIN_SPREAD_HU`: the arm has failed, others go on.
    """
    if not np.isfinite(images).all():
        raise TrainingFailed(f"{stage}: the denoiser's images are not finite; {advice}")
    if float(np.ptp(images, axis=0).max()) < MIN_SPREAD_HU:
        raise TrainingFailed(f"{stage}: the denoiser has collapsed, its image is the same for every trial; {advice}")
