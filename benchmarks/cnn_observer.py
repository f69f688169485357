"""Speed of the CNN observer and of the Markov chains of the lumpy ideal observer.

    .venv/bin/python benchmarks/cnn_observer.py [--threads 2]

Beside each stands what the machine could do: for the network the rate of a large float32 matrix product, for the
chains the rate at which a step's reads and writes of all residuals go through a plain copy.
"""

import argparse
import os
import time
import warnings

import numpy as np
import torch
from timing import seconds
from torch import nn

from taskct.observers import SmallSampleWarning
from taskct.observers.cnn import CNNObserver, Remainder
from taskct.observers.lumpy_ideal import LumpyImages, lumpy_log_likelihood_ratio


def multiplications(network, image):
    """Multiply-adds of one image through the network."""
    counts = []

    def count(module, _, output):
        counts.append(output[0].numel() * module.weight[0].numel())

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    network.eval()(image[None])
    for hook in hooks:
        hook.remove()
    return sum(counts)


def trials(n, n_pixels):
    """Textures of two variances, so that the network trains to its last step."""
    rng = np.random.default_rng(0)
    present = np.arange(n) % 2 == 0
    std = 20.0 * np.where(present, 1.2, 1.0)
    return (std[:, None, None] * rng.standard_normal((n, n_pixels, n_pixels))).astype(np.float32), present


def network_speed(peak):
    print("pixels  trials  fit, s  training, images/s  inference, images/s  of a matrix product's rate")
    for n_pixels, n in ((16, 1_000), (16, 10_000), (32, 1_000), (32, 10_000), (64, 1_000), (64, 4_000)):
        images, present = trials(n, n_pixels)
        ticks = []
        observer = CNNObserver(
            n_steps=200, progress=lambda done, *_, ticks=ticks: ticks.append((done, time.perf_counter()))
        )
        start = time.perf_counter()
        observer.fit(images, present)
        fit = time.perf_counter() - start
        steps = [tick for tick in ticks if tick[0] < 200]  # an early end jumps to the last
        rate = 64 * (steps[-1][0] - steps[0][0]) / (steps[-1][1] - steps[0][1])
        inference = 1_000 / seconds(lambda o=observer, i=images: o.test_statistic(i[:1_000]))
        cost = 6 * multiplications(Remainder((n_pixels, n_pixels), 16), torch.zeros(n_pixels, n_pixels))
        print(
            f"{n_pixels:5d}²  {n:6d}  {fit:6.1f}  {rate:18.0f}  {inference:19.0f}  {rate * cost / peak:.0%}", flush=True
        )


def chain_speed(copied):
    print("pixels  images  steps × images/s  of a copy's rate  200 images × 50,000 steps, s")
    signal_of = {n: np.full((n, n), 0.5) for n in (16, 32, 64)}
    lumpy = LumpyImages(lumps_per_mm2=0.004, lump_sigma_mm=4.0, lump_hu=10.0, noise_hu=10.0)
    for n_pixels, n in ((16, 20), (16, 200), (32, 20), (32, 200), (32, 2_000), (64, 20), (64, 200)):
        images = np.random.default_rng(0).normal(4.0, 15.0, (n, n_pixels, n_pixels))
        took = seconds(
            lambda i=images, s=signal_of[n_pixels]: lumpy_log_likelihood_ratio(i, s, lumpy, n_steps=1000, n_burn_in=0),
            2,
        )
        rate = 1000 * n / took
        of_copy = rate * 2 * 8 * n_pixels**2 / copied  # each residual is read and written once
        print(f"{n_pixels:5d}²  {n:6d}  {rate:16.0f}  {of_copy:16.0%}  {200 * 50_000 / rate:.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    print(f"{os.cpu_count()} cores, {torch.get_num_threads()} threads, load before: {os.getloadavg()[0]:.2f}")
    a, b = torch.randn(2, 1500, 1500)
    peak = 2 * 1500**3 / seconds(lambda: a @ b)
    c = torch.randn(20_000_000, dtype=torch.float64)
    copied = 2 * c.numel() * 8 / seconds(lambda: c.clone())
    print(f"matrix product {peak / 1e9:.0f} GFLOP/s, copy {copied / 1e9:.1f} GB/s read and written")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallSampleWarning)
        network_speed(peak)
    chain_speed(copied)
    print(f"load after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
