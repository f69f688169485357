"""Small trials of random numbers."""

import numpy as np

from taskct.trials.trials import SPLITS, TRUTH, Trials


def some_trials(first_case=0, n=5, seed=0):
    rng = np.random.default_rng(seed)
    truth = {name: rng.normal(size=n) for name in TRUTH} | {"case": first_case + np.arange(n, dtype=np.float64)}
    noisy, reference = rng.normal(size=(2, n, 6, 7)).astype(np.float32)
    return Trials(noisy=noisy, reference=reference, signal_present=rng.random(n) < 0.5, truth=truth)


def some_splits(seed=0):
    return {name: some_trials(100 * i, n=4 + i, seed=seed + i) for i, name in enumerate(SPLITS)}
