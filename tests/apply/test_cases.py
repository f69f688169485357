"""What is one case: slices of one scan, and copies of one image."""

from dataclasses import replace

import nibabel
import numpy as np
import pytest

from taskct.apply.observe.cases import cases_of, join_copies
from taskct.apply.observe.division import divide_trials
from taskct.errors import UserError
from taskct.io.image_origin import Scan, origins_of
from taskct.io.image_stack import read_images
from taskct.io.truth_table import Truth

SCAN = Scan(image="", series="", acquisition="", acquisition_number=None, instance_number=None, position=())


def slices(n_scans, n_slices, **same):
    """Origins of scans with slices; two kernels of each acquisition are two series."""
    origins = []
    for scan in range(n_scans):
        for number in range(n_slices):
            for kernel in ("soft", "sharp"):
                header = replace(SCAN, series=f"{scan} {kernel}", acquisition=str(scan), **same)
                origins += origins_of(f"{scan}/{kernel}/{number}.dcm", 1, header)
    return origins


def files(*names):
    return [origin for name in names for origin in origins_of(name, 1, None)]


def truth(present, cases=None):
    return Truth(np.asarray(present, dtype=bool), None, None if cases is None else np.asarray(cases), None)


def test_slices_of_a_series_or_of_an_acquisition_are_one_case():
    origins = slices(6, 5)
    for case_from, n_cases in (("series", 12), ("acquisition", 6), ("file", 60)):
        cases, _ = cases_of(origins, case_from)
        assert (60 if cases is None else len(set(cases))) == n_cases
        if cases is not None:
            for scan in range(6):
                assert len(set(cases[10 * scan : 10 * scan + 10])) == n_cases // 6


def test_series_that_share_an_acquisition_are_said():
    """Two kernels of one scan are two series, and no two scans."""
    said = {case_from: cases_of(slices(6, 5), case_from)[1] for case_from in ("series", "acquisition", "file")}
    assert said == {
        "series": "a series is a case, but 12 of them come from 6 acquisition(s): see --case-from acquisition",
        "acquisition": "an acquisition is a case",
        "file": "every image is a case",
    }
    single = [one for one in slices(6, 1) if "soft" in one.name]
    assert cases_of(single, "series") == (None, "every image is a case")
    assert "12 of them come from 6" in cases_of(slices(6, 1), "series")[1]  # each slice a series of its own


def test_slices_without_an_acquisition_are_refused_and_without_a_series_are_their_folders():
    origins = [replace(one, scan=SCAN) for one in slices(3, 2)]
    with pytest.raises(UserError, match="image 0 tells no acquisition"):
        cases_of(origins, "acquisition")
    assert len(set(cases_of(origins, "series")[0])) == 6  # folders 0/soft, 0/sharp, ...
    with pytest.raises(UserError, match="--case-from series or file"):
        cases_of(files("a.npy", "b.npy"), "acquisition")


def test_other_images_are_cases_of_their_sub_folder_or_of_their_own():
    assert cases_of(files("a/0.npy", "a/1.npy", "b/0.npy", "c.npy"), "series")[0].tolist() == [0, 0, 1, 2]
    assert cases_of(files("a.npy", "b.npy"), "series")[0] is None
    assert cases_of(origins_of("stack.npy", 7, None), "series")[0] is None
    assert cases_of(files("a/0.npy", "b/0.npy"), "series")[0] is None  # one image a folder


def test_copies_are_one_case_and_so_are_the_cases_they_join():
    images = np.random.default_rng(0).normal(size=(8, 3, 3)).astype(np.float32)
    images[5] = images[1]
    present = [1, 1, 1, 0, 0, 1, 0, 0]
    joined, notes = join_copies({"images": images}, truth(present))
    assert joined.cases.tolist() == [0, 1, 2, 3, 4, 1, 6, 7]
    assert "2 of the 8 images are copies of 1, the first are numbers 1, 5" in notes[0]
    joined, _ = join_copies({"images": images}, truth(present, [0, 0, 0, 1, 1, 2, 2, 3]))
    assert joined.cases.tolist() == [0, 0, 0, 1, 1, 0, 0, 3]
    unchanged, notes = join_copies({"images": images[:5]}, truth(present[:5]))
    assert unchanged.cases is None
    assert notes == []


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_on_one_side_of_the_split(seed):
    images = np.random.default_rng(seed).normal(size=(40, 3, 3)).astype(np.float32)
    present = np.arange(40) < 20
    images[10:20], images[30:40] = images[:10], images[20:30]
    parts = divide_trials(
        present, join_copies({"images": images}, truth(present))[0].cases, shares=(0.5, 0.5), seed=seed
    )
    seen = [{image.tobytes() for image in images[part]} for part in parts]
    assert not seen[0] & seen[1]
    assert len(seen[0]) == len(seen[1]) == 10


def test_copies_in_the_images_compared_with_count_too():
    rng = np.random.default_rng(1)
    images, versus = rng.normal(size=(2, 6, 3, 3)).astype(np.float32)
    versus[4] = versus[3]
    joined, notes = join_copies({"images": images, "images compared with": versus}, truth([1, 1, 1, 0, 0, 0]))
    assert joined.cases.tolist() == [0, 1, 2, 3, 3, 5]
    assert "images compared with" in notes[0]


def test_one_image_in_both_classes_is_refused():
    images = np.random.default_rng(0).normal(size=(4, 3, 3)).astype(np.float32)
    images[3] = images[0]
    with pytest.raises(UserError, match="numbers 0 and 3 of the images are the same to the last bit"):
        join_copies({"images": images}, truth([1, 1, 0, 0]))


def test_volumes_of_a_folder_are_cases_and_images_of_one_stack_are_not(tmp_path):
    rng = np.random.default_rng(3)
    for index in range(3):
        stack = rng.normal(size=(4, 5, 6)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(stack.T, np.diag([-1.0, -1.0, 1.0, 1.0])), tmp_path / f"scan{index}.nii.gz")
        (tmp_path / "npy").mkdir(exist_ok=True)
        np.save(tmp_path / "npy" / f"{index}.npy", stack)
    cases, words = cases_of(read_images(tmp_path / "scan0.nii.gz").origins, "series")
    assert (cases, words) == (None, "every image is a case")
    assert cases_of(read_images(tmp_path / "npy").origins, "series")[0] is None
    for file in (tmp_path / "npy").iterdir():
        file.unlink()
    cases, words = cases_of(read_images(tmp_path).origins, "series")
    assert cases.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert words == "a volume is a case"
    assert cases_of(read_images(tmp_path).origins, "file")[0] is None
    (tmp_path / "a").mkdir()
    for index in range(3):
        (tmp_path / f"scan{index}.nii.gz").rename(tmp_path / "a" / f"scan{index}.nii.gz")
    assert cases_of(read_images(tmp_path).origins, "series")[0].tolist() == [0] * 12
