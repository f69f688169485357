"""Forward projection and filtered backprojection beside a peer and beside the memory's limit.

    .venv/bin/python benchmarks/scanner.py

The peer is scikit-image's parallel-beam radon and iradon on the same image with as many views (the fan-beam peers on
PyPI are GPL or need CUDA). The limit is the time to read the matrix once from memory for each product, at the
bandwidth of a copy.
"""

import time
import warnings

import numpy as np
import torch
from skimage.transform import iradon, radon

from taskct.scanner.fbp import RegionFBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.projector import COLUMNS_PER_PRODUCT, Projector


def seconds(work, repeats=3):
    """The fastest of a few runs after a warm-up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def bandwidth():
    """Bytes per second of a copy, reads and writes counted."""
    source = torch.ones(2**26)
    target = torch.empty_like(source)
    return 2 * source.numel() * 4 / seconds(lambda: target.copy_(source))


def main():
    n_pixels, n_views, n_images = 256, 360, 32
    geometry = ScanGeometry(595.0, 1085.6, 512, 1.85, n_views)
    rng = np.random.default_rng(0)
    axis = np.arange(n_pixels) - (n_pixels - 1) / 2
    disc = np.hypot(axis[None, :], axis[:, None]) < 0.45 * n_pixels
    images = torch.from_numpy((rng.random((n_images, n_pixels, n_pixels)) * disc).astype(np.float32))
    start = time.perf_counter()
    projector = Projector(geometry, n_pixels=n_pixels, pixel_mm=1.3)
    print(f"matrix: {time.perf_counter() - start:.2f} s")
    ours = seconds(lambda: projector.project(images)) / n_images
    bytes_a_product = projector._matrix.values().numel() * 8
    limit = bytes_a_product / bandwidth() * 4 / COLUMNS_PER_PRODUCT  # four quarter turns an image
    angles = np.arange(n_views) * 360.0 / n_views
    image = images[0].numpy()
    peer = seconds(lambda: radon(image, angles, circle=True), repeats=1)
    shown = f"{ours / limit:.1f} × the memory limit, {peer / ours:.0f} × radon's speed"
    print(f"projection: {ours * 1e3:.2f} ms an image; {shown}")
    region = RegionFBP(geometry, center_mm=(0.0, 0.0), n_pixels=256, pixel_mm=1.3)
    sinogram = projector.project(images)
    ours = seconds(lambda: region.reconstruct(sinogram)) / n_images
    parallel = radon(image, angles, circle=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = seconds(lambda: iradon(parallel, angles, filter_name="hann", circle=True), repeats=1)
    print(f"reconstruction: {ours * 1e3:.2f} ms an image of {n_pixels}²; {peer / ours:.0f} × iradon's speed")


if __name__ == "__main__":
    main()
