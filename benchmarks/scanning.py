"""Speed of scanning observers, LROC analysis and learning curves.

    .venv/bin/python benchmarks/scanning.py

The peer of the scan is a loop over images of scipy.signal.correlate2d.
"""

from itertools import pairwise

import numpy as np
from scipy.signal import correlate2d
from timing import seconds

from taskct.metrics.lroc import lroc_area, lroc_covariance
from taskct.observers.hotelling import Hotelling
from taskct.observers.learning import expected_auc, learning_curve
from taskct.observers.scanning import Scanning


def growth(name, work, sizes, unit):
    """Time over tenfold growth of the work."""
    taken = []
    for size in sizes:
        taken.append(seconds(lambda size=size: work(size), 1 if taken and taken[-1] > 1.0 else 3))
    steps = ", ".join(f"{size:,} {unit}: {t:.3g} s" for size, t in zip(sizes, taken, strict=True))
    ratios = ", ".join(f"× {b / a:.1f}" for a, b in pairwise(taken))
    print(f"{name}: {steps} ({ratios})")


def main():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(1000, 64, 64))
    centres = rng.integers(10, 54, size=(1000, 2))
    scanning = Scanning(Hotelling(), size_px=21).fit(images, np.arange(1000) % 2 == 0, centres)
    template, offset = scanning.observer_.template_, scanning.observer_.offset_

    def loop():
        return np.array([correlate2d(image, template, mode="valid").ravel() for image in images[:20]]) + offset

    ours, theirs = seconds(lambda: scanning.locate(images)), seconds(loop) * 50
    worst = np.abs(loop() - scanning.site_statistics(images[:20])).max() / loop().std()
    print(
        f"scan of 1,000 images of 64² with a 21² template, 1,936 sites: {ours:.3f} s; loop over correlate2d "
        f"{theirs:.2f} s, {theirs / ours:.0f} times as long; largest difference {worst:.0e} standard deviations"
    )
    growth("scan, 64², 21² template", lambda n: scanning.locate(images[:n]), (10, 100, 1000), "images")

    def ratings(n, n_methods=5):
        return (*rng.normal(size=(2, n_methods, n)), rng.random((n_methods, n)) < 0.7)

    trials = {n: ratings(n) for n in (1000, 10_000, 100_000)}
    growth("LROC covariance of 5 methods", lambda n: lroc_covariance(*trials[n]), tuple(trials), "trials a class")
    growth("LROC area", lambda n: lroc_area(*(x[0] for x in trials[n])), tuple(trials), "trials a class")

    def curve(n):
        return learning_curve(Hotelling(ridge=0.0), *task(n), test=task(2000), seed=0)

    def task(n):
        return rng.normal(size=(n, 8, 8)), np.arange(n) % 2 == 0

    growth("learning curve of a Hotelling observer, 8², 80 trainings", curve, (1000, 10_000), "trials")
    print(f"expected_auc: {seconds(lambda: expected_auc(1.5, 1000, 40)) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
