"""Speed of noise, spectra and noise insertion.

    .venv/bin/python benchmarks/noise.py

The peer of the sampler is torch.poisson plus torch.randn, the exact draw of the same counts.
"""

import time

import numpy as np
import torch
from timing import seconds

from taskct.scanner.analytic import project_ellipses
from taskct.scanner.fbp import FBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.insertion import insert_noise
from taskct.scanner.noise import add_noise, draw_counts
from taskct.scanner.projector import Projector
from taskct.scanner.spectrum import WaterCorrection, polychromatic_line_integral, tabulated_spectrum
from taskct.scanner.units import MU_WATER_PER_MM


def body(geometry, *, arms):
    """Line integrals of a water cylinder, with or without arms, `(1, n_views, n_bins)`, and its chords in mm."""
    parts = [(0, 0, 290), (-190, 20, 75), (190, 20, 75)][: 3 if arms else 1]
    x, y, diameter = np.array(parts, dtype=float).T
    place = {"x_mm": x[None], "y_mm": y[None], "half_x_mm": diameter[None] / 2, "half_y_mm": diameter[None] / 2}
    return project_ellipses(geometry, **place, mu=np.ones((1, len(parts))))


def main():
    threads = torch.get_num_threads()
    geometry = ScanGeometry(595.0, 1085.6, 368, 2.9, 240)
    generator = torch.Generator().manual_seed(0)
    for n_photons in (20.0, 100.0, 1e4):
        expected = torch.full((240, 368), n_photons)

        def exact(expected=expected):
            return torch.poisson(expected, generator=generator) + 5.0 * torch.randn(expected.shape, generator=generator)

        ours = seconds(lambda e=expected: draw_counts(e, electronic_noise=5.0, generator=generator), 20)
        print(
            f"draw, {n_photons:g} photons: {ours / expected.numel() * 1e9:.1f} ns a ray; "
            f"{seconds(exact, 20) / ours:.1f} × the exact draw's speed"
        )
    n = 64
    for arms in (False, True):
        p = (MU_WATER_PER_MM * body(geometry, arms=arms)).expand(n, -1, -1)
        took = seconds(lambda p=p: add_noise(p, i0=2.5e4, electronic_noise=5.0, seeds=range(n))) / n
        print(f"add_noise, arms {arms}: {took * 1e3:.2f} ms a trial, 10,000 in {took * 1e4:.0f} s, {threads} threads")
    tube = tabulated_spectrum(120)
    chords = body(geometry, arms=True)
    print(f"polychromatic: {seconds(lambda: polychromatic_line_integral(chords, None, tube)) * 1e3:.1f} ms a trial")
    correct = WaterCorrection(tube)
    print(f"water correction: {seconds(lambda: correct(chords)) * 1e3:.2f} ms a trial")
    clinical = ScanGeometry(595.0, 1085.6, 900, 1.0, 984, detector="curved")
    start = time.perf_counter()
    projector, fbp = (kind(clinical, n_pixels=512, pixel_mm=0.9) for kind in (Projector, FBP))
    image = torch.full((4, 512, 512), -1000.0)
    image[:, 100:412, 60:452] = 50.0
    settings = {"i0": 2e5, "electronic_noise": 5.0, "dose_fraction": 0.25, "seeds": range(4)}
    insert_noise(image, projector, fbp, **settings)
    print(f"first insertion into 4 slices of 512², matrices made: {time.perf_counter() - start:.1f} s")
    took = seconds(lambda: insert_noise(image, projector, fbp, **settings), 1) / 4
    print(f"insertion: {took:.2f} s a slice of 512², 984 views, 900 bins")


if __name__ == "__main__":
    main()
