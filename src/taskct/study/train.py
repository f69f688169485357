"""From trials to models, one arm at a time: settings become a plan, the method does it, and the model is saved."""

import contextlib
import dataclasses
import functools
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from taskct.config import Settings
from taskct.denoisers.classical import filter_images, tune
from taskct.denoisers.denoiser import Denoiser
from taskct.denoisers.elsewhere import ELSEWHERE, Elsewhere
from taskct.denoisers.prices import MAX_PRICE
from taskct.denoisers.reach import receptive_radius
from taskct.denoisers.sizes import Padded
from taskct.denoisers.task_path import Correction
from taskct.errors import UserError, memory_wanted
from taskct.files import write_text
from taskct.observers.hotelling import HotellingEye
from taskct.progress import Progress
from taskct.seeds import derive_seed
from taskct.simulation.insert import lidc_of
from taskct.simulation.scan import Scanner
from taskct.study.arms import Arm
from taskct.study.given import given_denoiser
from taskct.study.groups import group_of
from taskct.study.imports import TRAIN_TWINS, has_import, read_import
from taskct.study.learned import LEARNED_ON, learned_on
from taskct.study.models import (
    SIZE_MULTIPLE,
    build_denoiser,
    build_head,
    build_loss,
    denoiser_of_arm,
    head_kinds,
    network_dtype,
    size_multiple,
)
from taskct.study.run_folder import RunFolder
from taskct.tasks.shapes import render
from taskct.tasks.signals import Signals
from taskct.training.checkpoints import save_weights
from taskct.training.layers import freeze_all_but
from taskct.training.log import Ending, TrainingLog
from taskct.training.losses import find_loss
from taskct.training.losses.base import Loss
from taskct.training.losses.several import SeveralLosses
from taskct.training.losses.slnn import SLNNLoss
from taskct.training.method import Trained, finetune, pretrain
from taskct.training.parallel import is_first, wait_for_all
from taskct.training.plan import PathPrice, Plan, Upkeep
from taskct.training.reader import ReferenceReader
from taskct.training.recombined import paired
from taskct.training.record import TrainingDiverged, TrainingFailed
from taskct.training.regions import append_loss, mean_squared_error, regions_of
from taskct.training.samples import TaskTrials
from taskct.training.task_path import PathLoss, TrainedPath, train_path
from taskct.trials.trials import Trials, crop, first_repeated, select

LAST_GOOD = ".last-good"
"""Appended to an arm's file name when its training went wrong."""


def train_arm(run: RunFolder, arm: Arm, *, progress: Progress | None = None) -> None:
    """Make the model of one arm and save it, going on from where an earlier attempt was stopped.

    `TrainingDiverged` if a loss was not finite; what was there before is kept as a model of its own. `TrainingFailed`
    if it came to nothing for another reason that lies with this arm: its images are all alike, or memory is short. Else
    a `UserError`, as where the models that it starts from are missing.
    """
    try:
        if arm.filter is not None:
            _tune(run, arm, arm.filter, progress)
        elif arm.pretrained and arm.settings(run.settings).denoiser.weights is not None:
            _take_given(run, arm)
        elif arm.pretrained:
            _pretrain(run, arm, progress)
        elif arm.price is not None:
            _train_path(run, arm, arm.price, progress)
        elif arm.task_weight is not None and arm.trained:
            _finetune(run, arm, arm.task_weight, progress)
        else:
            raise ValueError(f"{arm.name} has nothing to train")
    except Exception as error:
        if isinstance(error, UserError) or (wanted := memory_wanted(error)) is None:
            raise
        size = arm.settings(run.settings).training.batch_size
        raise TrainingFailed(
            f"{arm.name}, seed {arm.seed}: out of memory on {run.device}{wanted}; lower training.batch_size ({size}) "
            "or take a smaller network"
        ) from error


def _tune(run: RunFolder, arm: Arm, name: str, progress: Progress | None) -> None:
    """Choose the strength of a classical filter on the validation trials and save it as a card."""
    validation = run.read("validation")
    found = tune(name, validation.noisy, validation.reference, margin=validation.margin, progress=progress)
    denoised = crop(filter_images(name, validation.noisy, found), validation.margin)
    mse = mean_squared_error(denoised, validation.reference_regions)
    card = {"schema": 1, "stage": "tune", "filter": name, "parameters": found, "mse_validation_hu2": mse}
    write_text(run.weights(arm.weights_stem).with_suffix(".json"), json.dumps(card, indent=2) + "\n")


def _pretrain(run: RunFolder, arm: Arm, progress: Progress | None) -> None:
    """Train a denoiser by MSE and save it."""
    settings = arm.settings(run.settings)
    t = settings.training
    trials, validation = first_repeated(run.read("train"), t.n_trials), run.read("validation")
    root = derive_seed(arm.seed, "pretrain")
    plan = _plan(run, settings, root, t.pretrain_epochs, t.learning_rate, t.patch_pixels)
    d = settings.denoiser
    denoiser = build_denoiser(
        settings,
        offset_hu=float(trials.noisy.mean()) if d.offset_hu is None else d.offset_hu,
        scale_hu=float(trials.noisy.std()) if d.scale_hu is None else d.scale_hu,
        seed=derive_seed(root, "weights"),
    )
    advice = f"lower training.learning_rate ({t.learning_rate:g}) or change denoiser.network"
    with _upkeep(run, arm, f"pretrain {arm.name}, seed {arm.seed}", advice, denoiser, progress) as upkeep:
        trained = pretrain(denoiser, trials, validation, plan, upkeep=upkeep)
    more = {"mse_validation_hu2": trained.mse_pretrained, "receptive_radius_pixels": _radius(denoiser, trials)}
    _save(run, arm, {"denoiser": denoiser}, _card(run, arm, "pretrain", trained, **more))


def _take_given(run: RunFolder, arm: Arm) -> None:
    """Save the network that comes with its weights, as it is, in the place of one that is pretrained here."""
    settings = arm.settings(run.settings)
    validation = run.read("validation")
    denoiser, told = given_denoiser(settings)
    plan = _plan(run, settings, 0, 1, settings.training.learning_rate)
    regions = regions_of(denoiser.to(run.device), validation, plan)
    # What it learned on is not known: the study's own pixels and trials are others.
    more = {
        **told,
        "pixel_mm": None,
        LEARNED_ON: None,
        "training": None,
        "mse_validation_hu2": mean_squared_error(regions, validation.reference_regions),
        "receptive_radius_pixels": _radius(denoiser, validation),
    }
    more |= {LEARNED_ON: None}  # it learned elsewhere, on what nobody said
    _save(run, arm, {"denoiser": denoiser}, _card(run, arm, "pretrain", None, **more))


def _radius(denoiser: Denoiser, trials: Trials) -> int:
    """How far a pixel of the network reaches, pixels; it goes to the CPU."""
    return receptive_radius(Padded(denoiser.network.cpu(), denoiser.size_multiple), n_pixels=trials.noisy.shape[1])


def _finetune(run: RunFolder, arm: Arm, task_weight: float, progress: Progress | None) -> None:
    """Train one arm jointly with its observer, from the pretrained denoiser or from scratch, and save what was trained.

    The loss starts from the pretrained denoiser's images, in every arm alike, so that its gradient means something from
    the first step on.
    """
    settings = arm.settings(run.settings)
    t = settings.training
    trials = _task_trials(settings, first_repeated(run.read("train"), t.n_trials))
    validation = _task_trials(settings, run.read("validation"))
    root = derive_seed(arm.seed, "finetune")  # the same for every arm: they see the same trials in the same order
    denoiser, card = denoiser_of_arm(run, arm.start)
    mse_pretrained = float(card["mse_validation_hu2"])
    stage = f"fine-tune {arm.name}, seed {arm.seed}"
    advice = "pretrain longer (training.pretrain_epochs), with another training.learning_rate or denoiser.network"
    plan = _plan(run, settings, root, t.finetune_epochs, t.finetune_learning_rate)
    with _explained(stage, advice):
        loss = append_loss(denoiser, trials, functools.partial(build_loss, settings), plan)
    if t.start == "scratch":
        scaling = {"offset_hu": float(denoiser.offset_hu), "scale_hu": float(denoiser.scale_hu)}
        denoiser = build_denoiser(settings, **scaling, seed=derive_seed(root, "weights"))
        plan = _plan(run, settings, root, t.finetune_epochs + t.pretrain_epochs, t.learning_rate)
    freeze_all_but(denoiser.network, t.trainable)
    with _upkeep(run, arm, stage, advice, denoiser, progress) as upkeep:
        trained = finetune(
            denoiser,
            loss,
            trials,
            task_weight,
            plan,
            validation,
            mse_pretrained=mse_pretrained,
            upkeep=upkeep,
            copy=False,
        )
    more = {
        name: getattr(t, name)
        for name in ("loss", "head", "head_training", "head_per", "start", "trainable", "n_trials")
    }
    more |= {"task_weight": task_weight, "mse_validation_hu2": mse_pretrained}
    _save(run, arm, {"denoiser": denoiser} | _heads(loss), _card(run, arm, "finetune", trained, **more))


def _train_path(run: RunFolder, arm: Arm, price: float, progress: Progress | None) -> None:
    """Train the correction of the frozen control, and save both with the dial's scale in one file."""
    settings = arm.settings(run.settings)
    t, p = settings.training, settings.path
    trials = _task_trials(settings, first_repeated(run.read("train"), t.n_trials))
    if not settings.absent_signal.inserted:  # where every trial holds a signal, none tells what it would be without
        signals = Scanner(settings, run.device).signals_of(trials.trials.truth)
        trials = dataclasses.replace(trials, signal=torch.from_numpy(signals))
    validation = _task_trials(settings, run.read("validation"))
    root = derive_seed(arm.seed, "path")
    control: Denoiser
    learned: TaskTrials = trials
    if arm.imported is None:
        control, _ = denoiser_of_arm(run, arm.control_arm)
    else:
        noisy = trials.trials.noisy
        control = Elsewhere(offset_hu=float(noisy.mean()), scale_hu=float(noisy.std()))
        trials, validation = (
            _shown_elsewhere(run, arm.imported, name, one)
            for name, one in (("train", trials), ("validation", validation))
        )
        learned = trials
        if trials.signal is not None and has_import(run, arm.imported, TRAIN_TWINS):
            learned = paired(trials, _images_elsewhere(run, arm.imported, TRAIN_TWINS, len(trials)))
    plan = dataclasses.replace(
        _plan(run, settings, root, p.epochs, p.learning_rate), head_learning_rate=p.head_learning_rate
    )
    # A signal belongs to its place where that is drawn within an organ, or has a head of its own.
    moved = settings.signal.site != "organ" and t.head_per == "study"
    how = PathPrice(rmse=price, noise_hu=p.noise_hu, mirrored=p.mirrored, copies=p.copies, moved=moved)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(root, "weights"))
        correction = Correction(
            offset_hu=float(control.offset_hu),
            scale_hu=float(control.scale_hu),
            n_channels=p.n_channels,
            pool=p.pool,
        )
    stage, advice = f"train {arm.weights_stem}", "with another path.learning_rate or a higher path.trained_at"

    def head(regions: NDArray[np.float32]) -> PathLoss:
        scaling = {"offset_hu": float(regions.mean()), "scale_hu": float(regions.std())}
        head = build_head(settings, head_kinds(settings)[0], **scaling)
        asked = ReferenceReader(_reader(settings), (regions.shape[1], regions.shape[2])) if p.reader else None
        return PathLoss(head, training=t.head_training, noise_hu=p.noise_hu, reader=asked)

    with _explained(stage, advice):
        loss = append_loss(control, trials, head, plan)
    with _upkeep(run, arm, stage, advice, None, progress) as upkeep:
        trained = train_path(control, learned, validation, plan, how, loss=loss, correction=correction, upkeep=upkeep)
    path = trained.denoiser
    more = {
        "control": arm.control,
        "correction": correction.arguments,
        "squared_error_hu2": list(path.square),
        "price": path.price,
        "trained_at": price,
        "max_price": MAX_PRICE,
        "price_rule": "RMSE on validation trials over the control's, less 1",
        "rmse_validation_hu": math.sqrt(path.square.control),
    }
    if arm.imported is not None:
        more |= {"network": ELSEWHERE, "arguments": {}, SIZE_MULTIPLE: 1}
    _save(
        run,
        arm,
        {"control": control, "correction": correction, "head": loss.head},
        _card(run, arm, "path", trained, **more),
    )


def _shown_elsewhere(run: RunFolder, name: str, split: str, trials: TaskTrials) -> TaskTrials:
    """Trials with what a denoiser elsewhere made of them as their control's images."""
    return dataclasses.replace(trials, control=_images_elsewhere(run, name, split, len(trials)))


def _images_elsewhere(run: RunFolder, name: str, split: str, n: int) -> torch.Tensor:
    """Its images, HU; of fewer trials repeated to `n`, as the trials are, see `first_repeated`."""
    images = read_import(run, name, split)
    n_distinct = run.settings.training.n_trials if split != "validation" else None
    return torch.from_numpy(np.array(images[np.arange(n) % (n_distinct or len(images))]))


def _reader(settings: Settings) -> HotellingEye:
    """A reader as the study's Hotelling observer behind an eye is."""
    o = settings.observers
    return HotellingEye(
        pixel_mm=settings.scanner.pixel_mm,
        internal_noise_hu=o.internal_noise_hu,
        viewing_distance_mm=o.viewing_distance_mm,
        magnification=o.magnification,
    )


def _plan(
    run: RunFolder, settings: Settings, seed: int, epochs: int, learning_rate: float, patch: int | None = None
) -> Plan:
    named = "batch_size", "head_learning_rate", "head_weight_decay", "keep", "patience", "max_gradient_norm", "compile"
    return Plan(
        epochs=epochs,
        learning_rate=learning_rate,
        seed=seed,
        dtype=network_dtype(settings, run.device),
        device=str(run.device),
        patch_pixels=patch,
        **{name: getattr(settings.training, name) for name in named},
    )


def _task_trials(settings: Settings, trials: Trials) -> TaskTrials:
    """Trials with the group of every one; and its signal, for absent ones that which might have been, if needed."""
    signal = None
    if find_loss(settings.training.loss).needs_signal:
        images = render(
            Signals.from_columns(trials.truth),
            n_pixels=trials.noisy.shape[1],
            pixel_mm=settings.scanner.pixel_mm,
            slice_mm=settings.scanner.slice_mm,
            placed=True,
            lidc=None if (lidc := lidc_of(settings)) is None else lidc.outline,
        )
        signal = torch.from_numpy(images)
    return TaskTrials(trials, signal, torch.from_numpy(group_of(settings, trials)))


def _heads(loss: Loss) -> dict[str, nn.Module]:
    """The observer heads that a loss has, by the names that files have."""
    members = loss.members if isinstance(loss, SeveralLosses) else [loss]
    heads = [one.head for one in members if isinstance(one, SLNNLoss)]
    return {f"head{number + 1 if number else ''}": head for number, head in enumerate(heads)}


@contextlib.contextmanager
def _explained(stage: str, advice: str) -> Iterator[None]:
    """Say which stage a training is of that came to nothing, and what to do."""
    try:
        yield
    except TrainingDiverged:
        raise  # it says so itself
    except TrainingFailed as error:
        raise TrainingFailed(f"{stage}: {error}; {advice}") from error


@contextlib.contextmanager
def _upkeep(
    run: RunFolder, arm: Arm, stage: str, advice: str, denoiser: Denoiser | None, progress: Progress | None
) -> Iterator[Upkeep]:
    """State, log and progress of an arm's training; if it diverges, the denoiser's last good weights are kept."""
    t = arm.settings(run.settings).training
    log = TrainingLog(run.path / "logs" / f"{arm.weights_stem}.jsonl", extra=t.log_to) if is_first() else None
    upkeep = Upkeep(
        name=stage,
        progress=progress,
        state=run.state(arm.weights_stem),
        identity=run.key(str(arm.stage), arm.depends_on),
        log=log,
    )
    ending: Ending = "KILLED"
    try:
        with _explained(stage, advice):
            yield upkeep
        ending = "FINISHED"
    except TrainingFailed as error:
        ending = "FAILED"
        if not isinstance(error, TrainingDiverged) or denoiser is None or not is_first():
            raise
        path = _keep_last_good(run, arm, denoiser, error)
        raise TrainingDiverged(
            f"{error}; the weights at the start of that epoch are in {path}", error.last_good
        ) from None
    finally:
        if log is not None:
            log.close(ending)


def _card(
    run: RunFolder, arm: Arm, stage: str, trained: Trained | TrainedPath | None, **more: object
) -> dict[str, Any]:
    settings = arm.settings(run.settings)
    history = () if trained is None else trained.history
    epochs = [{k: (None if math.isnan(v) else v) for k, v in dataclasses.asdict(e).items()} for e in history]
    return {
        "schema": 1,
        "stage": stage,
        "arm": arm.whole,
        "seed": arm.seed,
        "network": settings.denoiser.network,
        "arguments": settings.denoiser.arguments,
        SIZE_MULTIPLE: size_multiple(settings.denoiser.network, settings.denoiser.arguments),
        "dtype": network_dtype(settings, run.device),
        "pixel_mm": settings.scanner.pixel_mm,
        LEARNED_ON: learned_on(settings, select(run.read("train"), slice(settings.training.n_trials))),
        "training": settings.training.model_dump(mode="json"),
        "licence": run.settings.model.licence,
        "intended_use": run.settings.model.use,
        "epochs": epochs,
        **more,
    }


def _save(run: RunFolder, arm: Arm, modules: dict[str, nn.Module], card: dict[str, Any]) -> None:
    if is_first():
        # The state stays until the stage is on record: a kill in between must cost nothing.
        save_weights(run.weights(arm.weights_stem), modules, card)
        path = run.weights(arm.weights_stem + LAST_GOOD)
        for file in (path, path.with_suffix(".json")):
            file.unlink(missing_ok=True)
    wait_for_all()


def _keep_last_good(run: RunFolder, arm: Arm, denoiser: Denoiser, error: TrainingDiverged) -> str:
    """Save the weights from before a training went wrong, as a model that `taskct denoise` can load."""
    prefix = "denoiser."
    denoiser.load_state_dict({k.removeprefix(prefix): v for k, v in error.last_good.items() if k.startswith(prefix)})
    path = run.weights(arm.weights_stem + LAST_GOOD)
    save_weights(path, {"denoiser": denoiser}, _card(run, arm, "last good", None))
    run.state(arm.weights_stem).unlink(missing_ok=True)  # going on from it would go wrong again
    return str(path)
