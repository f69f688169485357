"""The clock of the benchmarks."""

import time


def seconds(work, repeats=3, *, warm_up=True):
    """The fastest of a few runs, after one that does not count."""
    if warm_up:
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)
