"""What every task loss must do: who gets which gradient, what is refused, what comes back from a checkpoint."""

import math
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from taskct.errors import UserError
from taskct.observers import GroupedHead, SLNNHead
from taskct.observers.channels import laguerre_gauss
from taskct.testing import Check, loss_checks
from taskct.training.losses import LOSSES, find_loss
from taskct.training.losses.base import Batch, Loss
from taskct.training.step import HybridLoss

SIDE, N = 8, 40
CHANNELS = laguerre_gauss((SIDE, SIDE), width_px=4.0, n_channels=3)
PRESENT = torch.arange(N) % 2 == 0


def build(name: str) -> Loss:
    if name == "slnn":
        eye = {"pixel_mm": 0.7, "internal_noise_hu": 2.0}
        return find_loss(name)(SLNNHead((SIDE, SIDE), kind="eye", offset_hu=40.0, scale_hu=10.0, **eye))
    if name == "several":
        return find_loss("slnn")(GroupedHead([SLNNHead((SIDE, SIDE), offset_hu=40.0, scale_hu=10.0) for _ in range(2)]))
    if name == "detectability":
        return find_loss(name)((SIDE, SIDE), CHANNELS, memory=30)
    if name == "signal-promoter":
        return find_loss(name)(memory=30)
    return find_loss(name)(n_channels=4, n_blocks=2, n_steps=20, batch_size=16)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{name}-{check}")
        for name in [*LOSSES, "several"]
        for check in loss_checks(partial(build, name), shape=(SIDE, SIDE))
    ],
)
def test_suite(check: Check) -> None:
    check()


def trials(seed: int) -> dict[str, torch.Tensor]:
    """Regions with a disc of 6 HU, a third of whose contrast the denoiser lost."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.arange(SIDE) - (SIDE - 1) / 2
    disc = 6.0 * ((centre[:, None] ** 2 + centre**2) < 6.0).float()
    signal = disc.expand(N, SIDE, SIDE).contiguous()
    reference = 40.0 + 5.0 * torch.randn(N, SIDE, SIDE, generator=generator) + PRESENT[:, None, None] * signal
    denoised = reference - PRESENT[:, None, None] * signal / 3 + 2.0 * torch.randn(N, SIDE, SIDE, generator=generator)
    return {"denoised": denoised, "reference": reference, "signal": signal}


def started(name: str) -> Loss:
    task, data = build(name), trials(1)
    known = Batch(data["reference"], PRESENT, signal=data["signal"], group=torch.arange(N) // 2 % 2)
    task.start(data["denoised"], known, seed=3)
    return task.train()


def call(task: Loss, present: torch.Tensor) -> torch.Tensor:
    data = trials(2)
    n = task.noise_shape(N)
    noise = None if n is None else torch.randn(n, generator=torch.Generator().manual_seed(4))
    return task(data["denoised"], Batch(data["reference"], present, noise, data["signal"], torch.arange(N) // 2 % 2))


@pytest.mark.parametrize("name", [*LOSSES, "several"])
def test_only_a_head_has_parameters_to_train(name: str) -> None:
    own = [parameter for parameter in started(name).parameters() if parameter.requires_grad]
    assert bool(own) == (name in ("slnn", "several"))


@pytest.mark.parametrize("name", [*LOSSES, "several"])
def test_what_is_refused_is_named(name: str) -> None:
    task, data = started(name), trials(2)
    known = Batch(data["reference"], PRESENT, signal=data["signal"], group=torch.arange(N) // 2 % 2)
    for task_weight in (-0.1, 1.0, math.nan):
        with pytest.raises(UserError, match=r"task_weight \(λ\) is .*at least 0 and below 1"):
            HybridLoss(1.0, task, task_weight)
    with pytest.raises(ValueError, match="must both be"):
        task(torch.zeros(N, SIDE, SIDE + 1), known)
    with pytest.raises(ValueError, match="signal_present must be bool"):
        task(data["denoised"], known._replace(signal_present=PRESENT.float()))
    with pytest.raises(ValueError, match="signal_present must be bool"):
        task.start(data["denoised"], known._replace(signal_present=PRESENT[1:]), seed=0)


def test_one_class_where_it_matters():
    absent, present = torch.zeros(N, dtype=torch.bool), torch.ones(N, dtype=torch.bool)
    data = trials(1)
    for name in ("slnn", "observer-feature", "detectability"):
        with pytest.raises(UserError, match=r"0 signal-absent|0 trials of a class"):
            build(name).start(data["denoised"], Batch(data["reference"], present), seed=0)
    for name, wrong in (("detectability", present), ("signal-promoter", absent)):
        with pytest.raises(UserError, match=r"training.batch_size"):
            call(build(name).train(), wrong)
        # With earlier trials in mind it does not matter: the class that lacks keeps its moments.
        assert math.isfinite(call(started(name), wrong).item())


def test_registry():
    assert list(LOSSES) == ["slnn", "observer-feature", "signal-promoter", "detectability"]
    with pytest.raises(UserError, match="memory is -1"):
        find_loss("signal-promoter")(memory=-1)


PROCESS = """
import sys
import torch
import torch.distributed as dist
from taskct.observers.channels import laguerre_gauss
from taskct.training.losses import find_loss
from taskct.training.losses.base import Batch

rank, world, place, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
if world > 1:
    dist.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=world)
generator = torch.Generator().manual_seed(0)
channels = laguerre_gauss((8, 8), width_px=4.0, n_channels=3)
found = []
for name in ("detectability", "signal-promoter"):
    task = find_loss(name)(*(((8, 8), channels) if name == "detectability" else ()), memory=20)
    task.train()
    gain = torch.ones(8, 8, requires_grad=True)
    for step in range(2):
        reference = torch.randn(16, 8, 8, generator=generator)
        present = torch.arange(16) < (9 if step == 0 else 6)  # a share may hold one class only
        signal = torch.ones(16, 8, 8)
        mine = slice(rank * 16 // world, (rank + 1) * 16 // world)
        images = reference[mine] * gain + 0.3 * present[mine, None, None]
        value = task(images, Batch(reference[mine], present[mine], signal=signal[mine]))
        (gradient,) = torch.autograd.grad(value, gain)
        if world > 1:
            dist.all_reduce(gradient)
            gradient /= world
        found += [value.detach()[None], gradient.flatten()]
torch.save(torch.cat(found), out)
if world > 1:  # gloo's threads may abort the interpreter's end
    dist.barrier()
    dist.destroy_process_group()
"""


def test_two_processes_equal_one(tmp_path: Path, monkeypatch):
    def arguments(rank: int, world: int) -> list[str]:
        return ["-c", str(rank), str(world), str(tmp_path / "meet"), str(tmp_path / f"{world}-{rank}.pt")]

    processes = [subprocess.Popen([sys.executable, "-c", PROCESS, *arguments(rank, 2)[1:]]) for rank in range(2)]
    monkeypatch.setattr(sys, "argv", arguments(0, 1))
    exec(PROCESS, {})
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    alone, first, second = (torch.load(tmp_path / f, weights_only=True) for f in ("1-0.pt", "2-0.pt", "2-1.pt"))
    assert torch.equal(first, second)
    assert float(alone.abs().max()) > 0.0
    torch.testing.assert_close(first, alone, rtol=1e-5, atol=1e-7)
