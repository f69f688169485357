"""Speed of DeLong's covariance, the empirical AUC and the bootstrap, and how they grow.

    .venv/bin/python benchmarks/roc.py

The peers run beside: DeLong's own O(n²) form in numpy, scikit-learn's roc_auc_score.
"""

import numpy as np
from sklearn.metrics import roc_auc_score
from timing import seconds

from taskct.metrics.auc_bootstrap import bootstrap_auc
from taskct.metrics.clustered import Clusters
from taskct.metrics.operating import partial_auc_interval
from taskct.metrics.roc import auc, delong_covariance


def scores(n, n_methods=5):
    """Correlated methods, `(n_methods, n)` for either class."""
    rng = np.random.default_rng(0)
    mixing = np.eye(n_methods) + 0.5
    return mixing @ rng.normal(0.5, 1.0, (n_methods, n)), mixing @ rng.normal(size=(n_methods, n))


def delong_by_pairs(t_present, t_absent):
    """Structural components from every pair of trials: O(n²) time, one row of pairs at a time."""
    by_present, by_absent = np.empty(t_present.shape), np.zeros(t_absent.shape)
    for method, (present, absent) in enumerate(zip(t_present, t_absent, strict=True)):
        for trial, score in enumerate(present):
            won = (score > absent) + 0.5 * (score == absent)
            by_present[method, trial] = won.mean()
            by_absent[method] += won
    return np.cov(by_present) / t_present.shape[1] + np.cov(by_absent / t_present.shape[1]) / t_absent.shape[1]


def main():
    for n in (1_000, 10_000, 100_000):
        t_present, t_absent = scores(n)
        ours = seconds(lambda p=t_present, a=t_absent: delong_covariance(p, a))
        line = f"DeLong covariance, 5 methods, {n:,} + {n:,} trials: {ours * 1e3:.1f} ms"
        if n <= 10_000:
            theirs = seconds(lambda p=t_present, a=t_absent: delong_by_pairs(p, a), 1)
            same = np.allclose(delong_by_pairs(t_present, t_absent), delong_covariance(t_present, t_absent))
            line += f"; by pairs {theirs * 1e3:.0f} ms, {theirs / ours:.0f} times as long, same result: {same}"
        print(line)
        clusters = Clusters.of(np.arange(n) // 4, n + np.arange(n) // 4)
        took = seconds(lambda p=t_present, a=t_absent, c=clusters: delong_covariance(p, a, c))
        print(f"  of clusters of 4: {took * 1e3:.1f} ms")
        present, absent = t_present[0], t_absent[0]
        truth, both = np.repeat([1, 0], n), np.concatenate([present, absent])
        ours = seconds(lambda p=present, a=absent: auc(p, a))
        theirs = seconds(lambda t=truth, b=both: roc_auc_score(t, b))
        print(f"  AUC of one method: {ours * 1e3:.2f} ms; scikit-learn {theirs * 1e3:.2f} ms")
    for n in (100, 1_000, 10_000):
        t_present, t_absent = (t[0] for t in scores(n))
        truth, both = np.repeat([1, 0], n), np.concatenate([t_present, t_absent])
        ours = seconds(lambda p=t_present, a=t_absent: bootstrap_auc(p, a, seed=0), 1)
        rng = np.random.default_rng(0)
        drawn = [np.concatenate([rng.integers(n, size=n), n + rng.integers(n, size=n)]) for _ in range(20)]
        theirs = 50 * seconds(lambda t=truth, b=both, d=drawn: [roc_auc_score(t[i], b[i]) for i in d], 1)
        part = seconds(lambda p=t_present, a=t_absent: partial_auc_interval(p, a, fpf=(0.0, 0.1), seed=0), 1)
        print(
            f"bootstrap of 1,000 resamples, {n:,} + {n:,} trials: AUC {ours * 1e3:.1f} ms (by scikit-learn "
            f"{theirs * 1e3:.0f} ms, from 20), partial AUC {part * 1e3:.1f} ms"
        )


if __name__ == "__main__":
    main()
