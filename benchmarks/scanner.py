"""Forward projection and filtered backprojection of 512² images, beside ASTRA's CPU projector in the same run.

    .venv/bin/python benchmarks/scanner.py [--slices 1 8 64 512] [--threads 2] [--no-astra]

512² pixels of 0.7 mm, 984 views, 900 bins, flat detector. Ours is measured in processes of their own, with an empty
cache folder first (the matrix is built) and then from that folder, so that each peak of resident memory stands alone.
It includes the pages of the matrix, which several processes share.

ASTRA (GPLv3; its wheel needs NVIDIA's, 632 MB, to be imported, but no GPU) is no dependency of taskct: this script
makes a virtual environment for it under ~/.cache/taskct-benchmarks, once, by pip. Its `line_fanflat` projects on one
core, one slice at a time; two processes side by side would at best halve its time. It has no fan-beam FBP on the CPU.
Its sinogram is also compared with ours.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

N_PIXELS, PIXEL_MM, N_VIEWS, N_BINS = 512, 0.7, 984, 900
SOURCE_ISOCENTER_MM, SOURCE_DETECTOR_MM, BIN_MM = 595.0, 1085.6, 1.0
ASTRA = Path.home() / ".cache" / "taskct-benchmarks" / "astra"
SECONDS_FOR_REPEATS = 20.0


def phantom():
    """An ellipse of water with random texture."""
    axis = (np.arange(N_PIXELS) - (N_PIXELS - 1) / 2) * PIXEL_MM
    inside = (axis[None, :] / 165) ** 2 + (axis[:, None] / 130) ** 2 < 1
    return (0.02 * inside * (1 + 0.1 * np.random.default_rng(0).random((N_PIXELS, N_PIXELS)))).astype(np.float32)


def seconds(work, repeats=3):
    """The fastest of a few runs; long ones run once."""
    times = []
    while len(times) < repeats and sum(times) < SECONDS_FOR_REPEATS:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def peak_gb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure_ours(direction, slices, threads, out):
    """One child process: prepare, then the time per slice for each number of slices."""
    import torch

    from taskct.scanner.fbp import FBP
    from taskct.scanner.geometry import ScanGeometry
    from taskct.scanner.projector import Projector

    torch.set_num_threads(threads)
    geometry = ScanGeometry(SOURCE_ISOCENTER_MM, SOURCE_DETECTOR_MM, N_BINS, BIN_MM, N_VIEWS)
    image = torch.from_numpy(phantom())[None]
    sinogram = torch.rand(1, N_VIEWS, N_BINS)
    before = peak_gb()
    start = time.perf_counter()
    if direction == "forward":
        projector = Projector(geometry, n_pixels=N_PIXELS, pixel_mm=PIXEL_MM)
        work, data, matrix = projector.project, image, projector._system.to_views
    else:
        fbp = FBP(geometry, n_pixels=N_PIXELS, pixel_mm=PIXEL_MM)
        work, data, matrix = fbp.reconstruct, sinogram, fbp._system.to_pixels
    first = work(data)
    result = {
        "first_s": time.perf_counter() - start,
        "matrix_gb": 8 * matrix.values().numel() / 1e9,
        "peak_gb": peak_gb(),
        "before_gb": before,
        "rows": [],
    }
    for n in slices:
        batch = data.expand(n, -1, -1).contiguous()
        best = seconds(lambda batch=batch: work(batch))
        in_and_out = n * 4 * (N_VIEWS * N_BINS + N_PIXELS**2) / 1e9
        result["rows"].append({"slices": n, "s_per_slice": best / n, "in_and_out_gb": in_and_out, "peak_gb": peak_gb()})
        del batch
    if direction == "forward":
        np.save(out, first[0].numpy())
    print(json.dumps(result))


def measure_astra(out):
    """A child process in ASTRA's environment: seconds per slice; its sinogram, in our order of views and bins."""
    import astra

    volume = astra.create_vol_geom(N_PIXELS, N_PIXELS, *(v * N_PIXELS * PIXEL_MM / 2 for v in (-1, 1, -1, 1)))
    # Its y runs up, its source starts at −y and its bins run the other way.
    angles = math.pi / 2 - 2 * math.pi * np.arange(N_VIEWS) / N_VIEWS
    beam = astra.create_proj_geom(
        "fanflat", BIN_MM, N_BINS, angles, SOURCE_ISOCENTER_MM, SOURCE_DETECTOR_MM - SOURCE_ISOCENTER_MM
    )
    projector = astra.create_projector("line_fanflat", beam, volume)
    image = phantom()
    identifier, sinogram = astra.create_sino(image, projector)
    np.save(out, sinogram[:, ::-1])
    astra.data2d.delete(identifier)
    best = seconds(lambda: astra.data2d.delete(astra.create_sino(image, projector)[0]))
    print(json.dumps({"version": astra.__version__, "s_per_slice": best, "peak_gb": peak_gb()}))


def child(python, *arguments, **environment):
    """Run this script once more and read the line of JSON that it prints."""
    command = [str(python), __file__, *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    return json.loads(done.stdout.splitlines()[-1])


def astra_python():
    python = ASTRA / "bin" / "python"
    if not python.exists():
        print(f"making an environment for astra-toolbox in {ASTRA}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", ASTRA], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "numpy", "astra-toolbox"], check=True)
    return python


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, nargs="+", default=[1, 8, 64, 512])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-astra", action="store_true")
    parser.add_argument("--child", choices=["forward", "fbp", "astra"])
    parser.add_argument("--out")
    options = parser.parse_args()
    if options.child == "astra":
        measure_astra(options.out)
        return
    if options.child:
        measure_ours(options.child, options.slices, options.threads, options.out)
        return
    print(f"{os.cpu_count()} cores, {options.threads} threads, load before: {os.getloadavg()[0]:.2f}")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "ours.npy"
        settings = {"TASKCT_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": str(options.threads)}
        forward_s = math.inf
        for direction in ("forward", "fbp"):
            common = ("--child", direction, "--threads", options.threads, "--out", out)
            built = child(sys.executable, *common, "--slices", 1, **settings)
            loaded = child(sys.executable, *common, "--slices", *options.slices, **settings)
            print(f"\n{direction}: matrix {loaded['matrix_gb']:.2f} GB; torch alone {loaded['before_gb']:.2f} GB")
            for name, run in (("built and kept", built), ("from the cache", loaded)):
                print(f"  first slice, matrix {name}: {run['first_s']:.2f} s, peak {run['peak_gb']:.2f} GB resident")
            print("  slices  s/slice  input and output, GB  peak, GB  peak less input and output")
            for row in loaded["rows"]:
                rest = row["peak_gb"] - row["in_and_out_gb"]
                print(
                    f"  {row['slices']:6d}  {row['s_per_slice']:7.4f}  {row['in_and_out_gb']:20.2f}  "
                    f"{row['peak_gb']:8.2f}  {rest:.2f}"
                )
            if direction == "forward":
                forward_s = min(row["s_per_slice"] for row in loaded["rows"])
        if not options.no_astra:
            theirs = Path(folder) / "astra.npy"
            peer = child(astra_python(), "--child", "astra", "--out", theirs)
            ours, other = np.load(out), np.load(theirs)
            difference = np.sqrt(np.mean((ours - other) ** 2) / np.mean(other**2))
            print(
                f"\nastra-toolbox {peer['version']}, line_fanflat: {peer['s_per_slice']:.2f} s/slice, peak "
                f"{peer['peak_gb']:.2f} GB; ours is {peer['s_per_slice'] / forward_s:.0f} times as fast; the two "
                f"sinograms differ by {difference:.1e} of their RMS"
            )
    print(f"load after: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
