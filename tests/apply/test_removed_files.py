"""The command removed on files of each kind: paired by position, the answer, and what does not fit in one line."""

import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from command_line import call
from dicom_files import ct_slice, save

__all__ = ["call"]  # a fixture

N, SIDE = 6, 96


@pytest.fixture(scope="module")
def images():
    """Low-dose slices, denoised to noise alone, and blurred; HU."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    organ = 60.0 * (np.hypot(y - 50.0, x - 44.0) < 28.0) + 40.0 * (np.hypot(y - 40.0, x - 60.0) < 12.0)
    noise = rng.normal(0.0, 12.0, (N, SIDE, SIDE))
    low = np.rint(organ + noise).astype(np.float32)
    return low, np.rint(organ + 0.3 * noise).astype(np.float32), ndimage.gaussian_filter(low, (0, 2, 2)).round()


def write_dicom(folder, stack, order=None):
    """A slice each, numbered and stored in another order than that of their places."""
    folder.mkdir()
    for number, k in enumerate(range(N) if order is None else order):
        stored = stack[k].astype(np.int16)
        tags = {"Rows": SIDE, "Columns": SIDE, "RescaleIntercept": 0, "RescaleSlope": 1, "InstanceNumber": number + 1}
        save(folder / f"{number}.dcm", ct_slice(z=2.0 * k, stored=stored, **tags))
    return folder


def write_npy(path, stack):
    np.save(path, stack)
    return path


def write_nifti(path, stack):
    affine = np.diag([-0.7, -0.7, 2.0, 1.0])
    nib.save(nib.Nifti1Image(np.ascontiguousarray(stack.transpose(2, 1, 0)), affine), path)
    return path


@pytest.mark.parametrize("kind", ["dicom", "npy", "nifti"])
def test_blurred_edges_are_found_and_noise_is_not(tmp_path, images, kind, call):
    low, clean, blurred = images
    if kind == "dicom":
        paths = (
            write_dicom(tmp_path / "low", low),
            *(
                write_dicom(tmp_path / name, one, order=[3, 0, 5, 1, 4, 2])
                for name, one in (("clean", clean), ("blurred", blurred))
            ),
        )
    else:
        write, end = (write_npy, ".npy") if kind == "npy" else (write_nifti, ".nii.gz")
        names = ("low", "clean", "blurred")
        paths = tuple(write(tmp_path / f"{name}{end}", one) for name, one in zip(names, images, strict=True))
    told = []
    for path in paths[1:]:
        code, out, err = call("removed", paths[0], path, "--json")
        assert code == 0, err
        told.append(json.loads(out))
    assert [one["found"] for one in told] == [False, True]
    assert told[1]["along_edges"]["value"] > 0.2
    assert told[0]["n_images"] == N
    # By position and not by order: what was taken is the noise alone.
    assert told[0]["noise_hu"] == pytest.approx((low - clean).std(), rel=0.01)


def test_the_page_the_numbers_and_the_map(tmp_path, images, call):
    low, _, blurred = images
    paths = write_npy(tmp_path / "low.npy", low), write_npy(tmp_path / "blurred.npy", blurred)
    code, out, _ = call("removed", *paths, "--out", tmp_path / "out")
    assert code == 0
    assert "structure was taken away" in out
    page = (tmp_path / "out" / "removed.html").read_text(encoding="utf-8")
    assert "structure was taken away" in page
    assert str(tmp_path) not in page
    assert np.load(tmp_path / "out" / "along_edges.npy").shape == low.shape
    content = json.loads((tmp_path / "out" / "removed.json").read_text(encoding="utf-8"))
    assert len(content["autocorrelation"]) == 33
    assert call("removed", *paths, "--out", tmp_path / "out")[0] == 2


def test_what_does_not_fit_is_one_line(tmp_path, images, call):
    low, clean, _ = images
    path = write_npy(tmp_path / "low.npy", low)
    wrong = {
        "given the same twice": (path, "nothing was taken away"),
        "fewer": (write_npy(tmp_path / "few.npy", clean[:3]), "same slices of both"),
        "missing": (tmp_path / "none.npy", "does not exist"),
        "other kind": (write_nifti(tmp_path / "clean.nii", clean), "give both of a kind"),
    }
    for other, what in wrong.values():
        code, out, err = call("removed", path, other, "--out", tmp_path / "out")
        assert (code, out) == (2, "")
        assert what in err
        assert err.count("\n") == 1
        assert not (tmp_path / "out").exists()
    series = write_dicom(tmp_path / "series", low)
    moved = write_dicom(tmp_path / "moved", np.roll(clean, 1, axis=0))
    for k in range(N):
        save(moved / f"{k}.dcm", ct_slice(z=2.0 * k + 1.0, stored=clean[k].astype(np.int16), Rows=SIDE, Columns=SIDE))
    assert "mm apart" in call("removed", series, moved)[2]
