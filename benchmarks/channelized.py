"""Speed of channelized Hotelling observers: channels, outputs and ten random halves.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/channelized.py

The peer is the plain way: for every split the observer is fitted to the training images and applied to the test
images, channels made anew, the covariance inverted and the AUC counted over all pairs.
"""

import warnings

import numpy as np
from timing import seconds

from taskct.metrics.exact_cho import exact_cho_interval
from taskct.observers import SmallSampleWarning
from taskct.observers.channelized import ChannelizedHotelling, channel_outputs, split_aucs
from taskct.observers.channels import dense_dog, gabor, laguerre_gauss, sparse_dog

SHAPE = (64, 64)
KINDS = {
    "LG": lambda: laguerre_gauss(SHAPE, width_px=12.8),
    "sparse DoG": lambda: sparse_dog(SHAPE),
    "dense DoG": lambda: dense_dog(SHAPE),
    "Gabor": lambda: gabor(SHAPE),
}


def trials(n_trials):
    """White noise and a faint blob, float32 as images are stored."""
    images = np.random.default_rng(0).standard_normal((n_trials, *SHAPE), dtype=np.float32)
    distance = np.arange(64) - 31.5
    signal_present = np.arange(n_trials) % 2 == 0
    images[signal_present] += (0.25 * np.exp(-(distance[:, None] ** 2 + distance**2) / 30.0)).astype(np.float32)
    return images, signal_present


def plain(images, signal_present, make, n_splits=10):
    """Mean AUC the plain way."""
    rng = np.random.default_rng(0)
    classes = [np.flatnonzero(signal_present), np.flatnonzero(~signal_present)]
    aucs = []
    for _ in range(n_splits):
        half = len(classes[0]) // 2
        trains, tests = zip(*((order[:half], order[half:]) for order in map(rng.permutation, classes)), strict=True)
        channel_matrix = make()
        present, absent = (images[t].reshape(half, -1).astype(np.float64) @ channel_matrix for t in trains)
        covariance = (np.cov(present.T) + np.cov(absent.T)) / 2.0
        w = np.linalg.inv(covariance) @ (present.mean(axis=0) - absent.mean(axis=0))
        t_present, t_absent = (images[t].reshape(len(t), -1).astype(np.float64) @ channel_matrix @ w for t in tests)
        aucs.append(np.mean(t_present[:, None] > t_absent))
    return np.mean(aucs)


def main():
    warnings.simplefilter("ignore", SmallSampleWarning)
    for n_trials in (400, 4_000):
        images, signal_present = trials(n_trials)
        for kind, make in KINDS.items():

            def ours(make=make, images=images, signal_present=signal_present):
                return split_aucs(channel_outputs(images, make()), signal_present).mean()

            def peer(make=make, images=images, signal_present=signal_present):
                return plain(images, signal_present, make)

            took = seconds(ours)
            print(
                f"{kind}, {n_trials} ROIs of 64², ten 50/50 splits: {took * 1e3:.1f} ms, "
                f"{seconds(peer, 3) / took:.0f} × the plain way's speed; AUC {ours():.3f} and {peer():.3f}"
            )
        for kind in ("lg", "gabor", "pca", "pls"):
            took = seconds(lambda k=kind, x=images, y=signal_present: ChannelizedHotelling(channels=k).fit(x, y), 3)
            print(f"fit of the {kind} CHO, {n_trials} ROIs of 64²: {took * 1e3:.0f} ms")
    rng = np.random.default_rng(0)
    for n_trials in (100, 1_000):
        v = rng.standard_normal((2, n_trials, 10))
        v[0, :, 0] += 1.0
        print(
            f"exact interval, 10 channels, 2 × {n_trials}: {seconds(lambda v=v: exact_cho_interval(*v)) * 1e3:.2f} ms"
        )


if __name__ == "__main__":
    main()
