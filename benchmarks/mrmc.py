"""Speed and memory of the MRMC analysis, and its growth with cases and readers.

    .venv/bin/python benchmarks/mrmc.py

The peer is the same U-statistic the plain way: success matrices of all readers, present and absent cases.
"""

import tracemalloc

import numpy as np
from timing import seconds

from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.moments import moment_sums
from taskct.metrics.mrmc.obuchowski_rockette import obuchowski_rockette
from taskct.metrics.mrmc.one_shot import one_shot
from taskct.metrics.mrmc.ratings import Ratings


def peak_mb(work):
    tracemalloc.start()
    work()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 1e6


def study(n_readers, n_cases, *, decimals=None, missing=0.0, n_modalities=2):
    """Scores of as many present as absent cases."""
    rng = np.random.default_rng(0)
    present = np.arange(2 * n_cases) < n_cases
    scores = rng.normal(size=2 * n_cases) + rng.normal(size=(n_modalities, n_readers, 2 * n_cases)) + present
    if decimals is not None:
        scores = scores.round(decimals)
    scores[rng.random(scores.shape) < missing] = np.nan
    names = (tuple(f"{kind}{i}" for i in range(n)) for kind, n in zip("mrc", scores.shape, strict=True))
    return Ratings(scores, present, *names)


def plain(ratings):
    """Covariance of the AUCs from success matrices; fully crossed studies."""
    present, absent = ratings.scores[..., ratings.signal_present], ratings.scores[..., ~ratings.signal_present]
    success = (present[..., None] > absent[..., None, :]) + 0.5 * (present[..., None] == absent[..., None, :])
    n_r, n_p, n_a = success.shape[1:]
    m = [[]] * 8
    m[0] = np.einsum("arji,brji->ab", success, success)
    rows, columns, pooled = success.sum(3), success.sum(2), success.sum(1)
    m[1] = np.einsum("arj,brj->ab", rows, rows)
    m[2] = np.einsum("ari,bri->ab", columns, columns)
    m[3] = np.einsum("ar,br->ab", rows.sum(2), rows.sum(2))
    m[4] = np.einsum("aji,bji->ab", pooled, pooled)
    m[5] = rows.sum(1) @ rows.sum(1).T
    m[6] = columns.sum(1) @ columns.sum(1).T
    m[7] = np.multiply.outer(rows.sum((1, 2)), rows.sum((1, 2)))
    distinct = m[7] - m[3] - m[5] - m[6] + m[1] + m[2] + m[4] - m[0]
    count = n_r * (n_r - 1) * n_p * (n_p - 1) * n_a * (n_a - 1)
    return m[7] / (n_r * n_p * n_a) ** 2 - distinct / count


def main():
    base = study(20, 1000)
    ours = seconds(lambda: analyze(base))
    alike = seconds(lambda: one_shot(moment_sums(base)))
    theirs = seconds(lambda: plain(base), 1)
    assert np.allclose(plain(base), one_shot(moment_sums(base)).covariance, rtol=1e-9)
    print(
        f"analyze, 2 modalities, 20 readers, 1,000 + 1,000 cases: {ours:.2f} s, {peak_mb(lambda: analyze(base)):.0f} MB"
    )
    print(
        f"its U-statistic alone: {alike:.2f} s; success matrices: {theirs:.2f} s, {peak_mb(lambda: plain(base)):.0f} MB"
    )
    print(f"Obuchowski–Rockette, the same: {seconds(lambda: obuchowski_rockette(base)):.2f} s")
    for name, other in (
        ("scores that tie", study(20, 1000, decimals=1)),
        ("a third missing", study(20, 1000, missing=1 / 3)),
        ("five modalities", study(20, 1000, n_modalities=5)),
        ("100 cases a class", study(20, 100)),
        ("10,000 cases a class", study(20, 10_000)),
        ("2 readers", study(2, 1000)),
        ("200 readers", study(200, 1000)),
    ):
        took = seconds(lambda other=other: analyze(other), 1)
        print(f"analyze, {name}: {took:.3f} s ({took / ours:.2f} ×), {peak_mb(lambda o=other: analyze(o)):.0f} MB")


if __name__ == "__main__":
    main()
