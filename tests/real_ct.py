"""A real CT series for the tests, fetched once from PyPI: `python tests/real_ct.py` prints its folder.

The source distribution of TotalSegmentator carries an upper abdomen: 20 slices of 512², JPEG 2000, and labels
of 31 organs that a model drew. The files keep study dates and a device serial: they stay in the cache, and
never go into git.
"""

import gzip
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

PACKAGE = "totalsegmentator==2.18.0"
SERIES = "example_ct_dicom"
LABELS = "example_seg_dicom.nii.gz"
LIVER = 5  # in LABELS


def fetch_real_ct() -> Path:
    """The folder with the 20 slices, in `$TASKCT_CACHE` or `~/.cache/taskct`; downloaded where it is missing.

    Raises RuntimeError if it cannot be had.
    """
    cache = Path(os.environ.get("TASKCT_CACHE") or Path.home() / ".cache" / "taskct")
    folder = cache / "real-ct"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as name:
            found = _extract(_download(Path(name)), Path(name))
            try:
                found.rename(folder)
            except OSError:  # another process was faster
                if not folder.is_dir():
                    raise
    return folder / SERIES


def real_ct_or_skip() -> Path:
    """The folder of :func:`fetch_real_ct`; skips the test, with the reason, where it cannot be had."""
    try:
        return fetch_real_ct()
    except (RuntimeError, OSError) as error:
        import pytest  # not needed to fetch the series by hand

        pytest.skip(f"no real CT: {error}")


def read_labels() -> np.ndarray:
    """Organ labels on the grid of the series as `read_series` gives it, uint8, shape (20, 512, 512)."""
    nifti = gzip.decompress((fetch_real_ct().parent / LABELS).read_bytes())
    width, height, n_slices = np.frombuffer(nifti, "<i2", 3, offset=42)
    start = int(np.frombuffer(nifti, "<f4", 1, offset=108)[0])
    affine = np.frombuffer(nifti, "<f4", 12, offset=280).reshape(3, 4)
    labels = np.frombuffer(nifti, np.uint8, offset=start).reshape(n_slices, height, width)
    # NIfTI's axes point to the patient's right, to anterior and up; ours to the left, to posterior and up.
    return labels[:: int(np.sign(affine[2, 2])), :: -int(np.sign(affine[1, 1])), :: -int(np.sign(affine[0, 0]))]


def _download(folder: Path) -> Path:
    # Only the source distribution carries the files; pip fetches setuptools to ask it for its version.
    options = [
        "--no-deps",
        "--no-binary",
        "totalsegmentator",
        "--retries",
        "1",
        "--disable-pip-version-check",
    ]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, "-d", str(folder), PACKAGE]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or "no message").splitlines()[-1]
        raise RuntimeError(f"pip could not download {PACKAGE}: {last}") from error
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"pip could not download {PACKAGE} in 300 s") from error
    (archive,) = folder.glob("*.tar.gz")
    return archive


def _extract(archive: Path, folder: Path) -> Path:
    """The folder that holds SERIES and LABELS, and nothing else."""
    with tarfile.open(archive) as tar:
        members = [m for m in tar if f"/tests/reference_files/{SERIES}/" in m.name or m.name.endswith(f"/{LABELS}")]
        tar.extractall(folder, members, filter="data")
    found = list(folder.glob("*/tests/reference_files"))
    if len(found) != 1 or len(list((found[0] / SERIES).iterdir())) != 20 or not (found[0] / LABELS).is_file():
        raise RuntimeError(f"{archive.name} does not hold the series and its labels")
    return found[0]


if __name__ == "__main__":
    sys.stdout.write(f"{fetch_real_ct()}\n")
