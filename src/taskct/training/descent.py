"""The steps of a training on the machine: optimizer, rates, precision, compilation, and what processes share."""

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from taskct.cache import cache_folder
from taskct.denoisers.denoiser import autocast, resolve_dtype
from taskct.denoisers.dilated import DilatedConv2d
from taskct.denoisers.sizes import memory_format
from taskct.errors import UserError
from taskct.machine import memory_kept
from taskct.seeds import derive_seed
from taskct.training.layers import set_training_mode
from taskct.training.parallel import make_fabric, share
from taskct.training.plan import Compile, Plan
from taskct.training.samples import TaskTrials, internal_noise, patch
from taskct.training.step import Objective

VALIDATION_BATCH = 250
"""Trials at a time, about."""

MIN_STEPS = 2000
"""Steps from which compiling pays on every machine seen: it takes some 20 s, and the demo's step of 0.06 s (bfloat16)
to 0.5 s (float32 without wide vectors) becomes a quarter faster."""


class Descent:
    """Takes the steps of a training, see `taskct.training.loop.train`, and looks at validation trials between them."""

    def __init__(self, denoiser: nn.Module, hybrid: Objective, trials: TaskTrials, plan: Plan) -> None:
        self.fabric = make_fabric(plan.device)
        self.device = self.fabric.device
        self.plan = plan = replace(plan, dtype=resolve_dtype(plan.dtype, self.device))
        self.trials, self.hybrid = trials, hybrid
        self.steps_per_epoch = max(len(trials) // plan.batch_size, 1)
        self.trials_per_step = min(plan.batch_size, len(trials))
        n_steps = plan.epochs * self.steps_per_epoch
        self.compiled = compiles(plan.compile, denoiser, n_steps=n_steps, device=plan.device)
        self.modules: dict[str, nn.Module] = {"denoiser": denoiser.to(self.device)}
        trained: list[dict[str, Any]] = [{"params": [p for p in denoiser.parameters() if p.requires_grad]}]
        self.peaks = [plan.learning_rate]
        if hybrid.loss is not None:
            self.modules["task"] = hybrid.loss.to(self.device)
            own = [p for p in hybrid.loss.parameters() if p.requires_grad]
            if own:  # the observer head learns at a rate of its own
                trained.append({"params": own, "weight_decay": plan.head_weight_decay})
                self.peaks.append(plan.head_learning_rate)
        self.set_training_mode()
        self.optimizer = torch.optim.AdamW(trained, lr=plan.learning_rate, weight_decay=0.0, fused=True)
        self.schedule = _one_cycle(self.optimizer, self.peaks, n_steps=n_steps)
        self.step = hybrid.step(denoiser, margin=trials.trials.margin)
        self._run, self._optimizer = self.fabric.setup(self.step, self.optimizer)

    def set_training_mode(self) -> None:
        """As after a validation; what is frozen stays in evaluation mode."""
        set_training_mode(self.modules["denoiser"])
        if "task" in self.modules:
            self.modules["task"].train()

    @contextlib.contextmanager
    def ready(self) -> Iterator[None]:
        """What steps are taken within: the network compiled, and the global generators put back at the end."""
        cuda = [self.device] if self.device.type == "cuda" else []
        with (
            torch.random.fork_rng(devices=cuda),
            compiled(self.modules["denoiser"], on=self.compiled),
            memory_kept(),
        ):
            yield

    def losses(self, index: torch.Tensor, *, number: int) -> tuple[torch.Tensor, float, float]:
        """L(λ) of the trials `index`, a batch of all processes, in step `number` of the whole training, from 0.

        Returns this process's loss, with its gradient; and the MSE in HU² and the task's loss of all processes.
        """
        fabric, seed = self.fabric, self.plan.seed
        rank, world = fabric.global_rank, fabric.world_size
        noise = internal_noise(
            self.hybrid.loss, len(index) * self.trials.images_each, seed=derive_seed(seed, "noise", number)
        )
        noisy, batch = self.trials.take(share(index, rank=rank, world=world))
        if noise is not None:
            batch = batch._replace(noise=share(noise, rank=rank, world=world))
        if self.plan.patch_pixels is not None:
            place = derive_seed(seed, "patch", number)
            noisy, reference = patch([noisy, batch.reference], self.plan.patch_pixels, seed=place)
            batch = batch._replace(reference=reference)
        # A network's own draws come from the global generators: seeded at every step, a resumed run equals an unbroken
        # one.
        torch.manual_seed(derive_seed(seed, "network", number, rank))
        with autocast(self.device, self.plan.dtype):  # of the layers alone: HU go in and come out in float32
            loss, parts = self._run(noisy.to(self.device, non_blocking=True), batch.to(self.device))
        if world > 1:
            parts = fabric.all_reduce(parts, reduce_op="mean")
        mse, task = parts.tolist()
        return loss, mse, task

    def descend(self, loss: torch.Tensor) -> None:
        """Take the step down the gradient."""
        self.optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        if self.plan.max_gradient_norm is not None:
            norm = self.plan.max_gradient_norm
            self.fabric.clip_gradients(self._run, self._optimizer, max_norm=norm, error_if_nonfinite=False)
        self._optimizer.step()
        self.schedule.step()

    def validate(self, trials: TaskTrials) -> tuple[float, float, float]:
        """RMSE in HU, the task's loss and L(λ) on validation trials; what is trained is in training mode afterwards."""
        seen = self.fabric.broadcast(
            validate(self.step, self.hybrid, trials, seed=self.plan.seed, device=self.device, dtype=self.plan.dtype)
        )
        self.set_training_mode()
        return seen

    def share_statistics(self) -> None:
        """Give all processes the first one's buffers: running statistics are each process's own until the next step."""
        if self.fabric.world_size > 1:
            for buffer in self.step.buffers():
                buffer.copy_(self.fabric.broadcast(buffer))


def _one_cycle(
    optimizer: torch.optim.Optimizer, peaks: list[float], *, n_steps: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    # OneCycleLR divides by zero when its warm-up has one step, or when nothing is left after it.
    n_steps = max(n_steps, 3)
    warm_up = max(0.2, 2.0 / n_steps)
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=peaks, total_steps=n_steps, pct_start=warm_up)


@torch.no_grad()
def validate(
    step: nn.Module, objective: Objective, trials: TaskTrials, *, seed: int, device: torch.device, dtype: str
) -> tuple[float, float, float]:
    """RMSE in HU, the task's loss and what the objective makes of them, on trials; the step is left in evaluation mode.

    The seed is of the internal noise, which is the same in every epoch.
    """
    step.eval()
    total, n_seen = torch.zeros(2, dtype=torch.float64), 0
    n_batches = max(round(len(trials) / VALIDATION_BATCH), 1)
    for number, index in enumerate(torch.arange(len(trials)).chunk(n_batches)):
        noisy, batch = trials.take(index)
        noise = internal_noise(objective.loss, len(index), seed=derive_seed(seed, "validation noise", number))
        with autocast(device, dtype):
            _, parts = step(noisy.to(device), batch._replace(noise=noise).to(device))
        total += len(index) * parts.double().cpu()
        n_seen += len(index)
    mse, task = (total / n_seen).tolist()
    return math.sqrt(mse), task, objective(mse, 0.0 if objective.loss is None else task)


def can_compile(device: torch.device | str) -> bool:
    """Whether there is a compiler: of C++ for the CPU, Triton for CUDA."""
    if torch.device(device).type == "cuda":
        return bool(torch.utils._triton.has_triton())
    from torch._inductor import cpp_builder

    try:
        return bool(cpp_builder.get_cpp_compiler())
    except Exception:  # torch raises an internal error of its own, or an OSError, where none is found
        return False


def compiles(when: Compile, network: nn.Module, *, n_steps: int, device: torch.device | str) -> bool:
    """Whether a network's training of some steps is compiled, alike each time; `UserError` if it must be and cannot."""
    if when == "never" or (when == "auto" and (n_steps < MIN_STEPS or not _gains(network, device))):
        return False
    if can_compile(device):
        return True
    if when == "auto":
        return False
    raise UserError(
        "training.compile is always but there is no compiler (C++, or Triton on CUDA): set it to auto or never"
    )


def _gains(network: nn.Module, device: torch.device | str) -> bool:
    """Whether a compiled step is the faster one: on a CPU not where every other pixel is gathered (torch 2.13)."""
    dilated = any(isinstance(part, DilatedConv2d) and max(part.dilation) > 1 for part in network.modules())
    return torch.device(device).type != "cpu" or not dilated


MAX_GRAPHS = 4
"""Different networks that a process keeps compiled; torch itself runs uncompiled, in silence, beyond some more."""

_graphs: set[str] = set()
"""Of the networks that this process holds compiled."""


@contextlib.contextmanager
def compiled(denoiser: nn.Module, *, on: bool) -> Iterator[None]:
    """Take a denoiser's steps with its network compiled within; its weights and their names stay as they are.

    Networks alike share one graph, which is kept on disk too, in `compiled` of taskct's cache folder. Without
    gradients, as on validation trials, a network runs as it stands.
    """
    network = getattr(denoiser, "network", denoiser)
    if not on:
        yield
        return
    graph = f"{network!r} {[tuple(p.shape) for p in network.parameters() if p.requires_grad]}"
    with warnings.catch_warnings(), _kept_graphs():
        warnings.filterwarnings("ignore", module="torch")  # advice on torch's own settings
        if graph not in _graphs and len(_graphs) >= MAX_GRAPHS:
            torch._dynamo.reset()
            _graphs.clear()
        _graphs.add(graph)
        # Left to itself, torch turns every convolution to channels_last, right or not.
        channels_last = memory_format(network) == torch.channels_last
        network.compile(dynamic=False, options=None if channels_last else {"layout_optimization": False})
        faster, plain = network._compiled_call_impl, network._call_impl

        def call(*args: object, **kwargs: object) -> object:
            run = faster if faster is not None and torch.is_grad_enabled() else plain
            return run(*args, **kwargs)

        network._compiled_call_impl = call
        try:
            yield
        finally:
            network._compiled_call_impl = None


@contextlib.contextmanager
def _kept_graphs() -> Iterator[None]:
    """Let torch keep what it compiles in taskct's cache folder, unless somebody has named another one."""
    from torch._inductor.runtime.cache_dir_utils import default_cache_dir

    folder, name = cache_folder("compiled"), "TORCHINDUCTOR_CACHE_DIR"
    before = os.environ.get(name)  # torch sets it itself, to a folder that is gone after a restart
    if folder is None or before not in (None, default_cache_dir()):
        yield
        return
    os.environ[name] = str(folder)
    try:
        yield
    finally:
        os.environ.pop(name, None)
