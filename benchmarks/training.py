"""Speed of a training step, and of a network on a whole slice.

    .venv/bin/python benchmarks/training.py [--threads 2] [--steps 12]

Each step stands beside that of a plain loop, as public RED-CNN code has it: float32, images in (n, c, h, w) order,
Adam, the loss read at every step; and beside the machine's own rate of large matrix products, in float32 and, where the
processor computes in it, in bfloat16. 100 % would be a step that is nothing but matrix products.
"""

import argparse
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from timing import seconds
from torch import nn

from taskct.config import make_settings
from taskct.denoisers.cnn import ResidualCNN
from taskct.denoisers.context import ContextCNN
from taskct.denoisers.denoiser import Denoiser, denoise, make_network, resolve_dtype
from taskct.denoisers.redcnn import REDCNN
from taskct.training.descent import can_compile
from taskct.training.loop import train
from taskct.training.plan import Plan, Upkeep
from taskct.training.samples import TaskTrials
from taskct.training.step import HybridLoss
from taskct.trials.trials import TRUTH, Trials

WARM_UP = 3


def matrix_rate(dtype, n=2048):
    """Floating-point operations a second of an n × n matrix product."""
    a, b = torch.randn(n, n).to(dtype), torch.randn(n, n).to(dtype)
    return 2.0 * n**3 / seconds(lambda: a @ b)


def multiplications(network, shape):
    """Multiply-adds of one image through the network."""
    counts = []

    def count(module, inputs, output):
        # A transposed convolution spreads each input pixel, a convolution gathers for each output pixel.
        spread = isinstance(module, nn.ConvTranspose2d)
        pixels = (inputs[0] if spread else output)[0, 0].numel()
        counts.append(pixels * module.weight.numel())

    kinds = nn.Conv2d | nn.ConvTranspose2d
    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, kinds)]
    with torch.no_grad():
        network(torch.zeros(1, 1, *shape))
    for hook in hooks:
        hook.remove()
    return sum(counts)


def some_trials(n, side):
    rng = np.random.default_rng(0)
    reference = rng.normal(50.0, 20.0, (n, side, side)).astype(np.float32)
    noisy = reference + rng.normal(0.0, 25.0, reference.shape).astype(np.float32)
    return Trials(noisy, reference, np.arange(n) % 2 == 0, {name: np.zeros(n) for name in TRUTH})


def plain_step(make, trials, batch_size, n_steps):
    """Seconds of a step of the plain loop."""
    network = make()
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5)
    noisy, reference = torch.from_numpy(trials.noisy), torch.from_numpy(trials.reference)
    marks = []
    for _ in range(WARM_UP + n_steps):
        index = torch.randint(len(trials), (batch_size,))
        output = network((noisy[index, None] - 50.0) / 30.0)
        loss = F.mse_loss(output, (reference[index, None] - 50.0) / 30.0)
        network.zero_grad()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        marks.append(time.perf_counter())
    return float(np.median(np.diff(marks[WARM_UP - 1 :])))


def our_step(make, trials, batch_size, n_steps, *, compile_network):
    """Seconds of a step of taskct's loop, with all that it does besides."""
    marks = []
    train(
        Denoiser(make(), offset_hu=50.0, scale_hu=30.0),
        HybridLoss(mse_pretrained=900.0),
        TaskTrials(trials),
        Plan(
            epochs=-(-(WARM_UP + n_steps) * batch_size // len(trials)),
            batch_size=batch_size,
            learning_rate=1e-5,
            compile="always" if compile_network else "never",
        ),
        upkeep=Upkeep(progress=lambda done, total, detail: marks.append(time.perf_counter())),
    )
    return float(np.median(np.diff(marks[WARM_UP - 1 : WARM_UP + n_steps])))


def default_network():
    """What a study trains unless told otherwise."""
    denoiser = make_settings().denoiser
    return make_network(denoiser.network, denoiser.arguments)


def copy_rate(n_bytes=2**28):
    """Bytes read and written a second by a copy that no cache holds."""
    source = torch.zeros(n_bytes // 4)
    target = torch.empty_like(source)
    return 2.0 * n_bytes / seconds(lambda: target.copy_(source))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--steps", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    dtype = resolve_dtype("auto", "cpu")
    rates = {"float32": matrix_rate(torch.float32)}
    if dtype == "bfloat16":
        rates["bfloat16"] = matrix_rate(torch.bfloat16)
    print(f"{arguments.threads} threads; matrix products:", end=" ")
    print(", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in rates.items()), end="")
    print(f"; a copy {copy_rate() / 1e9:.0f} GB/s")
    print("training step, 64² images, and how".ljust(64) + "     ms images/s  × plain  of matrix products")
    cases = [
        ("RED-CNN, 96 channels, batch 16", REDCNN, 16),
        ("default network, batch 64", default_network, 64),
        ("cnn, 5 × 24 channels, batch 64", ResidualCNN, 64),
        ("cnn, 5 × 16 channels, batch 64", lambda: ResidualCNN(n_channels=16), 64),
        ("context, 3 × 16, 24 around, batch 64", lambda: ContextCNN(n_layers=3, n_channels=16), 64),
    ]
    for name, make, batch_size in cases:
        trials = some_trials(8 * batch_size, 64)
        cost = 6.0 * multiplications(make(), (64, 64)) * batch_size  # forward, and twice as much backward
        plain = plain_step(make, trials, batch_size, arguments.steps)
        row("plain loop", name, plain, batch_size, plain, cost / plain / rates["float32"], "float32")
        for compile_network in (False, True) if can_compile("cpu") else (False,):
            step = our_step(make, trials, batch_size, arguments.steps, compile_network=compile_network)
            how = f"taskct, {dtype}{', compiled' if compile_network else ''}"
            row(how, name, step, batch_size, plain, cost / step / rates[dtype], dtype)
    slice_hu = np.random.default_rng(0).normal(50.0, 30.0, (1, 512, 512)).astype(np.float32)
    denoiser = Denoiser(ResidualCNN(), offset_hu=50.0, scale_hu=30.0)
    wall = seconds(lambda: denoise(denoiser, slice_hu, dtype=dtype))
    cost = 2.0 * multiplications(ResidualCNN(), (512, 512))
    print(f"a slice of 512² through the demo's CNN: {1e3 * wall:.0f} ms, {cost / wall / rates[dtype]:.0%} of {dtype}'s")


def row(how, name, step, batch_size, plain, share, dtype):
    ratio = f"{plain / step:.2f}×"
    print(f"{name:35} {how:28} {1e3 * step:7.0f} {batch_size / step:8.0f} {ratio:>8}   {share:.0%} of {dtype}'s")


if __name__ == "__main__":
    main()
