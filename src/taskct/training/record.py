"""Where a training stands: its losses so far, its state on the disk, its log; and the end of one that goes wrong."""

import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import torch

from taskct.errors import UserError
from taskct.reading import reading
from taskct.training.checkpoints import load_state, optimizer_tensors, restore, restore_optimizer, save_state, snapshot
from taskct.training.descent import Descent
from taskct.training.plan import Upkeep

STATE_EVERY_S = 30.0
"""Seconds between two states on the disk within an epoch."""


class TrainingFailed(UserError):  # noqa: N818 - it says what happened
    """A training came to nothing; it is the arm's fault, and other arms go on."""


class TrainingDiverged(TrainingFailed):
    """A loss or a weight was not finite; carries the last weights known to be good."""

    def __init__(self, message: str, last_good: dict[str, torch.Tensor]) -> None:
        super().__init__(message)
        self.last_good = last_good


@dataclass(frozen=True)
class Epoch:
    """Mean losses of one epoch."""

    rmse_hu: float
    """Root of the mean squared error over the region, HU."""
    task: float
    """The task's loss, 1 at chance for the SLNN; nan in pretraining."""
    validation_rmse_hu: float = math.nan
    """After the epoch, on validation trials; nan without them."""
    validation_task: float = math.nan
    validation_loss: float = math.nan
    """L(λ) there, see `HybridLoss`: what the best epoch is chosen by."""


@dataclass
class _Place:
    """Where a training stands; with the weights and the optimizer's moments it is all there is to know.

    Every random draw is derived from the seed and the step's number, so there is no other state of a generator.
    """

    epoch: int = 0
    step: int = 0
    """Within the epoch."""
    sum_mse: float = 0.0
    sum_task: float = 0.0
    best_loss: float = math.inf
    best_epoch: int = -1


def _alike(held: object, own: object) -> bool:
    """Whether what a file holds is of the kinds of the training's own: mappings of one set of names, lists, numbers."""
    if isinstance(own, dict):
        return isinstance(held, dict) and held.keys() == own.keys() and all(_alike(held[k], own[k]) for k in own)
    if isinstance(own, list | tuple):
        return isinstance(held, list) and len(held) == len(own) and all(map(_alike, held, own))
    if isinstance(own, bool) or own is None:
        return type(held) is type(own)
    if isinstance(own, int):
        return type(held) is int and abs(held) < 2**53
    return isinstance(held, int | float if isinstance(own, float) else type(own)) and not isinstance(held, bool)


class Record:
    """What a training needs to be watched, to be stopped at any moment, and to end with its best or last good weights.

    The training is put where its state on the disk left it, if there is one; a `UserError` if the state is broken.
    """

    def __init__(self, descent: Descent, upkeep: Upkeep) -> None:
        self._descent, self._upkeep = descent, upkeep
        self.history: list[Epoch] = []
        self._place = _Place()
        self._start, self._best = snapshot(descent.modules), snapshot(descent.modules)
        self._key = _key(descent, upkeep.identity)
        self._writes = descent.fabric.is_global_zero
        held = load_state(upkeep.state) if upkeep.state is not None and self._writes else None
        held = descent.fabric.broadcast(held)  # other processes may not see the disk, or see it late
        run_id = None
        if held is not None and held[1].get("key") == self._key:
            advice = "delete it, and this training starts anew"
            with reading(upkeep.state, "the state of this training", advice):
                self._go_on_from(*held)
            run_id = held[1].get("run_id")
        if upkeep.log is not None and self._writes:
            upkeep.log.resume(self._place.epoch, run_id=run_id)
        self._saved_at = time.monotonic()

    def _go_on_from(self, tensors: dict[str, torch.Tensor], content: dict[str, Any]) -> None:
        descent = self._descent
        groups = optimizer_tensors(descent.optimizer)[1]
        own: dict[str, object] = {
            "groups": groups,
            "schedule": descent.schedule.state_dict(),
            "place": asdict(self._place),
        }
        for name, values in own.items():
            if not _alike(content[name], values):
                raise ValueError(f"its {name} is not that of this training")
        flags = [{name: one for name, one in group.items() if isinstance(one, bool)} for group in groups]
        if any(
            group[name] is not one
            for group, told in zip(content["groups"], flags, strict=True)
            for name, one in told.items()
        ):
            raise ValueError("its optimizer is another one")
        restore(descent.modules, tensors)
        restore_optimizer(descent.optimizer, tensors, content["groups"])
        descent.schedule.load_state_dict(content["schedule"])
        self._place = _Place(**content["place"])
        epochs = content["history"]
        self.history = [Epoch(**{k: math.nan if v is None else v for k, v in epoch.items()}) for epoch in epochs]
        self._start = {k.removeprefix("start."): v for k, v in tensors.items() if k.startswith("start.")}
        self._best = {k.removeprefix("best."): v for k, v in tensors.items() if k.startswith("best.")}

    def _save(self) -> None:
        if self._upkeep.state is not None and self._writes:
            modules, log = self._descent.modules, self._upkeep.log
            tensors, rates = optimizer_tensors(self._descent.optimizer)
            tensors |= snapshot(modules)
            tensors |= {f"start.{k}": v for k, v in self._start.items()} | {
                f"best.{k}": v for k, v in self._best.items()
            }
            content = {
                "key": self._key,
                "groups": rates,
                "schedule": self._descent.schedule.state_dict(),
                "place": asdict(self._place),
                "run_id": None if log is None else log.run_id,
                "history": [{k: v if math.isfinite(v) else None for k, v in asdict(e).items()} for e in self.history],
            }
            save_state(self._upkeep.state, tensors, content)
        self._saved_at = time.monotonic()

    def epochs(self) -> Iterator[int]:
        """The epochs that are left, until the last, or until validation has shown no better one for long enough."""
        plan = self._descent.plan
        while self._place.epoch < plan.epochs:
            if plan.patience is not None and self._place.epoch - 1 - self._place.best_epoch >= plan.patience:
                break
            yield self._place.epoch

    def steps(self, batches: Iterator[torch.Tensor]) -> Iterator[tuple[int, torch.Tensor]]:
        """The batches of this epoch that are left, each with the step's number in the whole training."""
        first = self._place.epoch * self._descent.steps_per_epoch
        for number, index in enumerate(batches):
            if number >= self._place.step:
                yield first + number, index

    def check(self, mse: float, task: float) -> None:
        """Raise `TrainingDiverged` if a loss is not finite: in every process alike, for the losses are everybody's."""
        if not (math.isfinite(mse) and (self._descent.hybrid.loss is None or math.isfinite(task))):
            raise self._diverged("the loss is not finite in", self._place.step + 1)

    def end_step(self, mse: float, task: float) -> None:
        """Count a step that was taken; tell it, and write the state if it is time."""
        place, descent = self._place, self._descent
        place.sum_mse += mse
        place.sum_task += task
        place.step += 1
        if self._upkeep.progress is not None:
            done = (place.epoch * descent.steps_per_epoch + place.step) * descent.trials_per_step
            in_all = descent.plan.epochs * descent.steps_per_epoch * descent.trials_per_step
            self._upkeep.progress(done, in_all, f"RMSE {math.sqrt(place.sum_mse / place.step):.2f} HU")
        if time.monotonic() - self._saved_at > STATE_EVERY_S:
            self._save()

    def end_epoch(self, seen: tuple[float, float, float] | None) -> None:
        """Count an epoch, remember its weights if they are the best, log it and write the state.

        `seen` is what `Descent.validate` found. `TrainingDiverged` if a weight is not finite, as the last step of an
        epoch may leave it without a loss that tells.
        """
        place, n_steps = self._place, self._descent.steps_per_epoch
        now = snapshot(self._descent.modules)
        if not all(bool(torch.isfinite(value).all()) for value in now.values()):
            raise self._diverged("the weights are not finite after", n_steps)
        epoch = Epoch(math.sqrt(place.sum_mse / n_steps), place.sum_task / n_steps, *(seen or ()))
        self.history.append(epoch)
        if epoch.validation_loss < place.best_loss:
            self._best, place.best_loss, place.best_epoch = now, epoch.validation_loss, place.epoch
        self._start = now
        if self._upkeep.log is not None and self._writes:
            self._upkeep.log.write(place.epoch, asdict(epoch))
        self._place = _Place(place.epoch + 1, best_loss=place.best_loss, best_epoch=place.best_epoch)
        self._save()

    def end(self) -> None:
        """Leave the best or the last weights, as the plan says, and wait for the other processes."""
        if self._descent.plan.keep == "best" and self._place.best_epoch >= 0:
            restore(self._descent.modules, self._best)
        self._descent.fabric.barrier()

    def _diverged(self, what: str, step: int) -> TrainingDiverged:
        plan = self._descent.plan
        advice = f"lower {self._descent.hybrid.rate_setting} ({plan.learning_rate:g})"
        advice += " or use training.dtype=float32" if plan.dtype == "bfloat16" else ""
        where = f"epoch {self._place.epoch + 1}, step {step} of {self._descent.steps_per_epoch}"
        return TrainingDiverged(f"{self._upkeep.name}: {what} {where}; {advice}", self._start)


def _key(descent: Descent, identity: str) -> str:
    """Hash of what a training is, so that another one's state is not taken for its own.

    Names and order are those of earlier versions, whose states so still serve.
    """
    plan, hybrid, trials = descent.plan, descent.hybrid, descent.trials.trials
    trained = [(name, key, p) for name, module in descent.modules.items() for key, p in module.named_parameters()]
    what = {
        "identity": identity,
        "n_trials": len(trials),
        "shape": trials.noisy.shape[1:],
        "n_epochs": plan.epochs,
        "batch_size": plan.batch_size,
        "peaks": descent.peaks,
        "decay": 0.0 if hybrid.loss is None else plan.head_weight_decay,
        "margin": trials.margin,
        "seed": plan.seed,
        "task": type(hybrid.loss).__name__.replace("Losses", "Tasks").replace("Loss", "Task"),
        "task_weight": hybrid.task_weight,
        "mse_pretrained": hybrid.mse_pretrained,
        "patch": plan.patch_pixels,
        "norm": plan.max_gradient_norm,
        "keep": plan.keep,
        "patience": plan.patience,
        "dtype": plan.dtype,
        "compiled": descent.compiled,
        "tensors": {name: list(value.shape) for name, value in snapshot(descent.modules).items()},
        "trained": sorted(f"{name}.{key}" for name, key, p in trained if p.requires_grad),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]
