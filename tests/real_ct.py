"""Real CT for the tests, fetched once from PyPI: `python tests/real_ct.py` prints the folder of the series.

The source distribution of TotalSegmentator carries an upper abdomen: 20 slices of 512², JPEG 2000, and labels
of 31 organs that a model drew; and a chest as NIfTI, 1.5 mm isotropic. The files keep study dates and a device
serial: they stay in the cache, and never go into git.
"""

import gzip
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

PACKAGE = "totalsegmentator==2.18.0"
SERIES = "example_ct_dicom"
LABELS = "example_seg_dicom.nii.gz"
CHEST = "aorta_report/example_ct.nii.gz"
LIVER = 5  # in LABELS


def fetch_real_ct() -> Path:
    """The folder with the 20 slices, in `$TASKCT_TEST_DATA` or `~/.cache/taskct`; downloaded where it is missing.

    Raises RuntimeError if it cannot be had.
    """
    return _fetch(SERIES)


def fetch_real_chest() -> Path:
    """The NIfTI file of the chest; as :func:`fetch_real_ct`."""
    return _fetch(CHEST)


def _fetch(part: str) -> Path:
    cache = Path(os.environ.get("TASKCT_TEST_DATA") or Path.home() / ".cache" / "taskct")
    folder = cache / "real-ct"
    if not (folder / part).exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as name:
            found = _extract(_download(Path(name)), Path(name))
            for one in (SERIES, LABELS, CHEST):
                (folder / one).parent.mkdir(parents=True, exist_ok=True)
                try:
                    (found / one).rename(folder / one)
                except OSError:  # there already, or another process was faster
                    if not (folder / one).exists():
                        raise
    return folder / part


def real_ct_or_skip(fetch: Callable[[], Path] = fetch_real_ct) -> Path:
    """What `fetch` gives; skips the test, with the reason, where it cannot be had."""
    try:
        return fetch()
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
    """The folder that holds SERIES, LABELS and CHEST, and nothing else."""
    where = "/tests/reference_files"
    with tarfile.open(archive) as tar:
        single = (f"{where}/{LABELS}", f"{where}/{CHEST}")
        members = [m for m in tar if f"{where}/{SERIES}/" in m.name or m.name.endswith(single)]
        tar.extractall(folder, members, filter="data")
    found = list(folder.glob(f"*{where}"))
    whole = len(found) == 1 and all((found[0] / part).exists() for part in (SERIES, LABELS, CHEST))
    if not whole or len(list((found[0] / SERIES).iterdir())) != 20:
        raise RuntimeError(f"{archive.name} does not hold the series, its labels and the chest")
    return found[0]


if __name__ == "__main__":
    sys.stdout.write(f"{fetch_real_ct()}\n")
