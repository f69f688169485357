"""What every task loss must do: who gets which gradient, what is refused, what comes back from a checkpoint."""

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from taskct.errors import UserError
from taskct.observers import GroupedHead, SLNNHead
from taskct.observers.channels import laguerre_gauss
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


@pytest.fixture(params=[*LOSSES, "several"])
def name(request) -> str:
    return request.param


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


def batch(task: Loss, present: torch.Tensor = PRESENT) -> Batch:
    data, n = trials(2), task.noise_shape(N)
    noise = None if n is None else torch.randn(n, generator=torch.Generator().manual_seed(4))
    return Batch(data["reference"], present, noise, data["signal"], torch.arange(N) // 2 % 2)


def call(task: Loss, denoised: torch.Tensor | None = None, present: torch.Tensor = PRESENT) -> torch.Tensor:
    return task(trials(2)["denoised"] if denoised is None else denoised, batch(task, present))


def gradients(name: str, task_weight: float) -> tuple[torch.Tensor, list[torch.Tensor], float]:
    task, denoised = started(name), trials(2)["denoised"].requires_grad_()
    own = [parameter for parameter in task.parameters() if parameter.requires_grad]
    value = task.shared(denoised, batch(task), task_weight)
    assert value.shape == ()
    assert value.item() == call(started(name), denoised).item()
    into_images, *into_own = torch.autograd.grad(value, [denoised, *own])
    return into_images, into_own, value.item()


def test_who_gets_which_gradient(name):
    half, own_half, value_half = gradients(name, 0.5)
    assert float(half.abs().max()) > 0.0
    for task_weight in (0.0, 0.9, 0.99):
        into_images, own, value = gradients(name, task_weight)
        scale = float(half.abs().max())
        torch.testing.assert_close(into_images, task_weight / 0.5 * half, rtol=1e-5, atol=1e-6 * scale)
        assert value == value_half
        for found, expected in zip(own, own_half, strict=True):
            torch.testing.assert_close(found, expected, rtol=0.0, atol=0.0)
    assert bool(own_half) == (name in ("slnn", "several"))


def test_a_step_down_the_gradient_lowers_the_loss(name):
    """First order, in the direction of the gradient, on the same batch."""
    into_images, _, value = gradients(name, 0.5)
    step = 1e-3 / float(into_images.norm())
    with torch.no_grad():
        lower = call(started(name), trials(2)["denoised"] - step * into_images)
        higher = call(started(name), trials(2)["denoised"] + step * into_images)
    # Two-sided; where classes remember earlier trials the gradient is larger than the slope, never of the other sign.
    assert float(lower) < float(higher)
    assert 0.0 < value < 3.0


def test_the_same_seed_gives_the_same_and_the_state_comes_back(name):
    first, second, copy = started(name), started(name), build(name).train()
    call(first, trials(5)["denoised"].requires_grad_())  # what is remembered belongs to the state
    call(second, trials(5)["denoised"].requires_grad_())
    copy.load_state_dict(first.state_dict())
    values = [call(task).item() for task in (first, second, copy)]
    assert values[0] == values[1] == values[2]


def test_float32_under_autocast(name):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = call(started(name))
    assert value.item() == call(started(name)).item()


def test_validation_leaves_nothing_behind(name):
    task = started(name)
    before = {key: tensor.clone() for key, tensor in task.state_dict().items()}
    with torch.no_grad():
        call(task)
    call(task.eval())
    assert all(torch.equal(before[key], tensor) for key, tensor in task.state_dict().items())


@pytest.mark.parametrize("task_weight", [-0.1, 1.0, math.nan])
def test_lambda_out_of_range(name, task_weight):
    with pytest.raises(UserError, match=r"task_weight \(λ\) is .*at least 0 and below 1"):
        HybridLoss(1.0, started(name), task_weight)


def test_wrong_shapes(name):
    task = started(name)
    with pytest.raises(ValueError, match="must both be"):
        call(task, torch.zeros(N, SIDE, SIDE + 1))
    with pytest.raises(ValueError, match="signal_present must be bool"):
        call(task, present=PRESENT.float())
    with pytest.raises(ValueError, match="signal_present must be bool"):
        task.start(trials(1)["denoised"], Batch(trials(1)["reference"], PRESENT[1:]), seed=0)


def test_nan_gives_nan(name):
    """The loop ends the arm on a loss that is not finite; a task must let it through."""
    broken = trials(2)["denoised"]
    broken[3, 2, 2] = math.nan
    assert math.isnan(call(started(name), broken).item())


def test_one_class_where_it_matters():
    absent, present = torch.zeros(N, dtype=torch.bool), torch.ones(N, dtype=torch.bool)
    data = trials(1)
    for name in ("slnn", "observer-feature", "detectability"):
        with pytest.raises(UserError, match=r"0 signal-absent|0 trials of a class"):
            build(name).start(data["denoised"], Batch(data["reference"], present), seed=0)
    for name, wrong in (("detectability", present), ("signal-promoter", absent)):
        with pytest.raises(UserError, match=r"training.batch_size"):
            call(build(name).train(), present=wrong)
        # With earlier trials in mind it does not matter: the class that lacks keeps its moments.
        assert math.isfinite(call(started(name), present=wrong).item())


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
