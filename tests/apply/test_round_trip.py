"""A study's images go out and come back: in every format, in any order, by name, by UID, by position; or not at all."""

import csv
import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import torch
import zarr
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid
from scipy import ndimage
from skimage.restoration import denoise_nl_means

from command_line import call
from taskct.apply.round_trip import ExportOptions, ImportOptions, export_study, import_study
from taskct.apply.round_trip.exporting import FORMATS
from taskct.apply.round_trip.key import read_key
from taskct.errors import UserError
from taskct.study.imports import import_card, read_import, shown_trials, with_import
from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep
from tiny_study import files_of, tiny_settings

__all__ = ["call"]  # a fixture

SIZE = {"region_pixels": 24, "margin_pixels": 4, "n_validation": 16, "n_fresh": 24, "n_test": 24}
SECRET = "a secret of the tests"


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A run folder with trials alone; nobody may change it."""
    folder = RunFolder(
        tmp_path_factory.mktemp("round-trip") / "run", tiny_settings(trials=SIZE), device=torch.device("cpu")
    )
    sweep(folder, ["simulate"])
    return folder.path


@pytest.fixture
def run(simulated, tmp_path):
    """A copy of it."""
    shutil.copytree(simulated, tmp_path / "run")
    return opened(tmp_path / "run")


def opened(path):
    return RunFolder(path, None, device=torch.device("cpu"))


def low_dose(run, split):
    return np.asarray(shown_trials(run, split).noisy)


def denoise(images):
    return ndimage.gaussian_filter(images, (*[0] * (images.ndim - 2), 1.2, 1.2)).astype(np.float32)


def export(run, folder, **options):
    return export_study(run, folder, ExportOptions(secret=SECRET, **options))


def rows(folder):
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_dicom(path):
    dataset = pydicom.dcmread(path)
    return dataset, dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)


def read_mha(path):
    """By its own header, as any reader of raw data would."""
    head, _, data = path.read_bytes().partition(b"ElementDataFile = LOCAL\n")
    told = dict(line.split(" = ") for line in head.decode().splitlines())
    return np.frombuffer(data, "<f4").reshape([int(n) for n in told["DimSize"].split()][::-1])


READERS = {
    "npy": np.load,
    "nifti": lambda path: np.asarray(nibabel.load(path).dataobj).transpose(2, 1, 0),
    "zarr": lambda path: np.asarray(zarr.open_array(str(path), mode="r")),
    "mha": read_mha,
    "dicom": lambda path: read_dicom(path)[1][None],
}


def box(source, target, *, uids=True, names=True, references=True, positions=True):
    """A denoiser of DICOM that keeps of the headers what it is told to, and writes in another order."""
    target.mkdir()
    for number, path in enumerate(sorted(source.rglob("*.dcm"), reverse=True)):
        dataset, hu = read_dicom(path)
        if references:
            item = pydicom.Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
            dataset.SourceImageSequence = [item]
        if not uids:
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            dataset.SeriesInstanceUID = "1.2.3"
        if not positions:
            del dataset.ImagePositionPatient
            dataset.ImagePositionPatient = [0, 0, number]
        stored = np.rint((denoise(hu) - float(dataset.RescaleIntercept)) / float(dataset.RescaleSlope))
        dataset.set_pixel_data(stored.astype(np.int16), "MONOCHROME2", 16, generate_instance_uid=False)
        dataset.save_as(target / (path.name if names else f"IM{number:04d}"))


def returned_npy(run, key, folder, change=lambda images: images):
    """All images of an export as one denoised stack."""
    folder.mkdir(exist_ok=True)
    places = [key.images[name] for group in key.groups for name in group.images]
    low = {split: low_dose(run, split) for split in key.splits}
    stack = np.stack([low[place.split][place.index] for place in places])
    np.save(folder / "out.npy", change(denoise(stack)))


def check_images(run, name, splits, step=0.0):
    for split in splits:
        wanted = denoise(low_dose(run, split))
        # Rounded twice: on the way out, smoothed, and on the way back.
        assert np.abs(read_import(opened(run.path), name, split) - wanted).max() <= step * 1.01 + 1e-3


@pytest.mark.parametrize("stacks", [False, True], ids=["together", "apart"])
@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_written_is_what_was_simulated(run, tmp_path, kind, stacks):
    """Read by other software, without the package; each file and place that the manifest names."""
    key = export(run, tmp_path / "out", format=kind, stacks=stacks, splits=("test", "validation"))
    low = {split: low_dose(run, split) for split in key.splits}
    listed = rows(tmp_path / "out")
    assert [row["image"] for row in listed] == sorted(key.images)
    assert len({row["file"] for row in listed}) == (len(listed) if stacks or kind == "dicom" else 1)
    for row in listed:
        place = key.images[row["image"]]
        image = READERS[kind](tmp_path / "out" / row["file"])[int(row["index"])]
        assert np.abs(image - low[place.split][place.index]).max() <= (0.5001 if kind == "dicom" else 0)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "dicom"])
@pytest.mark.parametrize("stacks", [False, True], ids=["together", "apart"])
def test_the_round_trip_is_exact_in_float32(run, tmp_path, kind, stacks):
    key = export(run, tmp_path / "out", format=kind, stacks=stacks)
    source = tmp_path / "out"
    for path in [one for one in sorted(source.iterdir()) if one.name.endswith(FORMATS[kind])]:
        images = denoise(np.array(READERS[kind](path)))
        if kind == "npy":
            np.save(path, images)
        elif kind == "nifti":
            image = nibabel.load(path)
            nibabel.save(nibabel.Nifti1Image(images.transpose(2, 1, 0), image.affine), path)
        elif kind == "zarr":
            zarr.open_array(str(path), mode="r+")[...] = images
        else:
            head = path.read_bytes().partition(b"LOCAL\n")
            path.write_bytes(head[0] + head[1] + images.tobytes())
    (source / "manifest.csv").unlink()
    import_study(run, source, "box")
    check_images(run, "box", key.splits)


@pytest.mark.parametrize(
    "kept",
    [
        {"uids": False, "names": False},
        {"references": False, "names": False},
        {"references": False, "uids": False, "positions": False},
        {"references": False, "uids": False, "names": False},
    ],
    ids=["source image", "own UID", "name", "position"],
)
def test_dicom_comes_back_by_what_is_left(run, tmp_path, kept):
    key = export(run, tmp_path / "out", step_hu=0.25)
    box(tmp_path / "out", tmp_path / "back", **kept)
    import_study(run, tmp_path / "back", "box", ImportOptions(software="ours"))
    check_images(run, "box", key.splits, step=0.25)
    card = import_card(opened(run.path), "box")
    assert card["software"] == "ours"
    assert card["format"] == "DICOM"
    assert card["measured"]["shift_down_px"] == pytest.approx(0, abs=0.1)
    assert card["measured"]["rmse_hu"] < card["measured"]["rmse_low_dose_hu"]


def test_rounding_adds_what_it_says(run, tmp_path):
    """0.29 steps: the deviation of what is uniform over a step."""
    key = export(run, tmp_path / "out", step_hu=2.0, splits=("test",))
    low, errors = low_dose(run, "test"), []
    for row in rows(tmp_path / "out"):
        errors.append(read_dicom(tmp_path / "out" / row["file"])[1] - low[key.images[row["image"]].index])
    assert np.std(errors) == pytest.approx(2 / np.sqrt(12), rel=0.02)


def test_another_order_is_told_by_a_manifest(run, tmp_path):
    key = export(run, tmp_path / "out", format="npy")
    (tmp_path / "back").mkdir()
    stack, listed = np.load(next((tmp_path / "out").glob("*.npy"))), rows(tmp_path / "out")
    order = np.random.default_rng(0).permutation(len(stack))
    np.save(tmp_path / "back" / "x.npy", denoise(stack[order]))
    lines = ["index,file,image", *(f"{at},x.npy,{listed[old]['image']}" for at, old in enumerate(order))]
    (tmp_path / "back" / "manifest.csv").write_text("\n".join(lines))
    import_study(run, tmp_path / "back", "box")
    check_images(run, "box", key.splits)


def test_names_and_order_tell_nothing(run, tmp_path):
    """Neither split nor truth goes with the order of the names; and who lacks the secret cannot draw them again."""
    key = export(run, tmp_path / "out", splits=("test", "fresh"))
    splits = [key.images[name].split for name in sorted(key.images)]
    assert splits.count("twins") == splits.count("fresh") == 24
    changes = sum(one != other for one, other in itertools.pairwise(splits))
    assert changes > 30  # of 71; 47 are expected at random, 2 in order
    other = export_study(run, tmp_path / "other", ExportOptions(splits=("test", "fresh")))
    assert not set(other.images) & set(key.images)
    told = "\n".join(str(pydicom.dcmread(path)) for path in sorted((tmp_path / "out").rglob("*.dcm"))[:5])
    told += (tmp_path / "out" / "README.txt").read_text() + (tmp_path / "out" / "manifest.csv").read_text()
    assert not [word for word in ("test", "fresh", "twin", "signal", SECRET, str(tmp_path)) if word in told]


def test_training_trials_go_along_where_asked(run, tmp_path):
    key = export(run, tmp_path / "out", format="npy", splits=("train", "validation"))
    assert key.splits == {"train": 48, "train_twins": 48, "validation": 16}


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs dicom3tools")
def test_headers_satisfy_dciodvfy(run, tmp_path):
    export(run, tmp_path / "out", splits=("test",))
    path = next((tmp_path / "out").rglob("*.dcm"))
    found = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
    assert [line for line in (found.stdout + found.stderr).splitlines() if "rror" in line or "arning" in line] == []


@pytest.mark.skipif(shutil.which("dcm2niix") is None, reason="needs dcm2niix")
def test_dcm2niix_makes_a_volume_that_comes_back(run, tmp_path):
    """Another format than went out, by software that turns the rows around."""
    key = export(run, tmp_path / "out", step_hu=0.25)
    (tmp_path / "back").mkdir()
    subprocess.run(["dcm2niix", "-z", "n", "-o", tmp_path / "back", tmp_path / "out"], check=True, capture_output=True)
    for path in (tmp_path / "back").glob("*.nii"):
        image = nibabel.load(path)
        hu = np.asarray(image.dataobj).astype(np.float32).transpose(2, 0, 1)
        nibabel.save(nibabel.Nifti1Image(denoise(hu).transpose(1, 2, 0), image.affine), path)
    import_study(run, tmp_path / "back", "box")
    check_images(run, "box", key.splits, step=0.25)


@pytest.mark.parametrize("kind", ["dicom", "npy"])
def test_whole_slices_are_cut_when_they_come_back(run, tmp_path, kind):
    """A denoiser that looks far sees beyond the window: only where it does not are both ways the same."""
    key = export(run, tmp_path / "out", whole=True, format=kind, step_hu=0.25, splits=("test", "fresh", "validation"))
    assert key.window == 32
    assert min(key.shape) > 200
    low = {split: low_dose(run, split) for split in key.splits}
    for row in rows(tmp_path / "out")[::9]:
        image = READERS[kind](tmp_path / "out" / row["file"])[int(row["index"])]
        assert image.shape == key.shape
        top, left = key.corners[row["image"]]
        place = key.images[row["image"]]
        window = image[top : top + 32, left : left + 32]
        assert np.abs(window - low[place.split][place.index]).max() <= (0.1251 if kind == "dicom" else 0)
    if kind == "dicom":
        box(tmp_path / "out", tmp_path / "back")
    else:
        (tmp_path / "back").mkdir()
        (path,) = (tmp_path / "out").glob("*.npy")
        np.save(tmp_path / "back" / path.name, denoise(np.load(path)))
    import_study(run, tmp_path / "back", "box")
    inner = (slice(None), slice(6, -6), slice(6, -6))
    for split in key.splits:
        apart = read_import(opened(run.path), "box", split)[inner] - denoise(low[split])[inner]
        assert np.abs(apart).max() <= (0.26 if kind == "dicom" else 1e-3)
    assert not list(tmp_path.glob(".taskct*"))


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.fixture
def refused(run, tmp_path):
    """An import that must be refused with nothing written."""

    def refuse(folder, match, **options):
        before = files_of(run.path)
        with pytest.raises(UserError, match=match) as told:
            import_study(run, folder, "box", ImportOptions(**options))
        assert files_of(run.path) == before
        assert "\n" not in str(told.value)

    return refuse


def test_images_that_do_not_fit_are_refused(run, tmp_path, refused):
    key = export(run, tmp_path / "out", format="npy", stacks=True, splits=("test", "fresh", "validation"))
    back = tmp_path / "back"
    shutil.copytree(tmp_path / "out", back)
    for path in back.glob("*.npy"):
        np.save(path, denoise(np.load(path)))
    first, second = sorted(back.glob("*.npy"))[:2]
    image = np.load(first)
    (back / "manifest.csv").unlink()

    first.unlink()
    refused(back, r"1 of 88 images are missing \(t\w+\)")
    np.save(first, image)
    np.save(back / f"copy_{first.name}", image)
    refused(back, f"is there twice, in copy_{first.name} and {first.name}")
    (back / f"copy_{first.name}").unlink()
    np.save(first, np.kron(image, np.ones((1, 2, 2))))
    refused(back, "64 × 64 pixels, and 32 × 32 went out: resampled")
    np.save(first, image * np.nan)
    refused(back, "not finite")
    first.unlink()
    np.save(back / "scan.npy", image)
    refused(back, "scan.npy holds an image, and nothing tells which")
    (back / "scan.npy").unlink()
    np.save(first, np.load(second))
    np.save(second, image)
    refused(back, f"shows* another image .*{first.name} shows {second.name}")
    assert key.splits["test"] == 24


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda images: np.roll(images, 1, axis=1), r"[01]\.\d+ down"),
        (lambda images: images + 1024, "import them with --offset -1024"),
        (lambda images: images[::-1], "show another image"),
        (lambda images: images[:, ::-1], "mirrored top to bottom"),
        (lambda images: np.maximum(images, images.mean()), "cut off at a limit"),
    ],
)
def test_faults_of_the_box_are_refused(run, tmp_path, refused, change, match):
    key = export(run, tmp_path / "out", format="npy")
    returned_npy(run, key, tmp_path / "back", change)
    refused(tmp_path / "back", match)


def test_pixels_of_another_size_are_refused(run, tmp_path, refused):
    export(run, tmp_path / "out")
    box(tmp_path / "out", tmp_path / "back")
    for path in sorted((tmp_path / "back").iterdir())[:1]:
        dataset = pydicom.dcmread(path)
        dataset.PixelSpacing = ["0.8", "0.8"]
        dataset.save_as(path)
    refused(tmp_path / "back", "pixels of 0.8 mm, and 1 mm went out")


def test_the_low_dose_images_themselves_are_refused(run, tmp_path, refused):
    export(run, tmp_path / "out")
    refused(tmp_path / "out", r"88 of 88 images are the low-dose images themselves .*--accept unchanged")


def test_another_studys_images_are_refused(run, tmp_path, refused):
    """By the ID of the export; and where names were made to fit, by what the images show."""
    folder = RunFolder(tmp_path / "other", tiny_settings(trials=SIZE, seed=7), device=torch.device("cpu"))
    sweep(folder, ["simulate"])
    key = export(run, tmp_path / "out", format="npy")
    other = export_study(folder, tmp_path / "there", ExportOptions(format="npy", secret="another"))
    refused(tmp_path / "there", f"names the export {other.id}, and this run has {key.id}: another study's")
    returned_npy(folder, replace(other, groups=key.groups, images=key.images), tmp_path / "back")
    refused(tmp_path / "back", "another study's, or from another export")


def test_trials_that_changed_since_are_refused(run, tmp_path, refused):
    key = export(run, tmp_path / "out", format="npy")
    path = key.path(run.path)
    content = json.loads(path.read_text())
    content["low_dose_sha256"]["test"] = "0" * 64
    path.write_text(json.dumps(content))
    refused(tmp_path / "out", "the trials of test are not those that were exported")


def test_what_is_no_key_is_refused(run, tmp_path):
    key = export(run, tmp_path / "out", format="npy", splits=("test",))
    path = key.path(run.path)
    assert read_key(path) == key
    content = json.loads(path.read_text())
    name = next(iter(content["images"]))
    content["images"][name] = ["fresh", 3]
    for broken in (content, [], {"schema": 2}, {**content, "shape": [1]}):
        path.write_text(json.dumps(broken))
        with pytest.raises(UserError, match="cannot be read as the key of an export"):
            read_key(path)


def test_faults_are_taken_where_that_is_asked_for(run, tmp_path):
    key = export(run, tmp_path / "out", format="npy")
    returned_npy(run, key, tmp_path / "back", lambda images: np.roll(images, 1, axis=1))
    found = import_study(run, tmp_path / "back", "box", ImportOptions(accept=("shift",)))
    assert any(line.startswith("accepted: the images lie") for line in found.notes)
    assert import_card(opened(run.path), "box")["accepted"] == ["shift"]


def test_scale_and_offset_mend(run, tmp_path):
    key = export(run, tmp_path / "out", format="npy")
    returned_npy(run, key, tmp_path / "back", lambda images: (images + 1024) / 1000)
    import_study(run, tmp_path / "back", "box", ImportOptions(scale=1000, offset_hu=-1024))
    check_images(run, "box", key.splits, step=0.001)


def test_a_folder_that_holds_something_stays(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(UserError, match="exists and is not an empty folder"):
        export(run, tmp_path / "out")
    assert not (run.path / "exported").exists()


def test_an_export_that_fails_leaves_nothing(run, tmp_path, monkeypatch):
    def fail(*args, **options):
        raise OSError("the disk is full")

    monkeypatch.setattr("taskct.apply.round_trip.exporting.write_manifest", fail)
    with pytest.raises(OSError, match="full"):
        export(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [run.path]
    assert not (run.path / "exported").exists()


@pytest.mark.parametrize(
    "options", [{"format": "bmp"}, {"splits": ("tests",)}, {"splits": ("test", "test")}, {"step_hu": 0.001}]
)
def test_options_out_of_range_are_refused(run, tmp_path, options):
    with pytest.raises(UserError, match="give "):
        export(run, tmp_path / "out", **options)


def test_hu_that_do_not_fit_the_step_are_refused(run, tmp_path):
    """Steps of 0.01 HU reach from -1351.7 to -696.3 HU alone."""
    with pytest.raises(UserError, match=r"give --step-hu 0\.0\d+ or more"):
        export(run, tmp_path / "out", step_hu=0.01)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n1,2", "file,index,image\nx.npy,-1,t0123456789ab", "file,index,image\nx.npy,0,scan",
     "file,index,image\nx.npy,0,t0123456789ab\nx.npy,0,t0123456789ab"],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(run, tmp_path, refused, text):
    key = export(run, tmp_path / "out", format="npy")
    returned_npy(run, key, tmp_path / "back")
    (tmp_path / "back" / "manifest.csv").write_text(text)
    refused(tmp_path / "back", "manifest")


def test_an_export_without_what_an_evaluation_needs_is_told(run, tmp_path, refused):
    key = export(run, tmp_path / "out", format="npy", splits=("test",))
    returned_npy(run, key, tmp_path / "back")
    refused(tmp_path / "back", "no validation and no fresh images.*--split validation,fresh,test")


def test_a_file_is_no_folder(run, tmp_path, refused):
    key = export(run, tmp_path / "out", format="npy")
    returned_npy(run, key, tmp_path / "back")
    refused(next((tmp_path / "back").glob("*.npy")), "is a file; give the folder")


def test_what_else_lies_on_a_disc_is_passed_over(run, tmp_path):
    """A DICOMDIR, hidden files of a Mac, and notes; the slices renamed and without an ending."""
    key = export(run, tmp_path / "out", format="dicom")
    back = tmp_path / "back"
    (back / "__MACOSX").mkdir(parents=True)
    for number, path in enumerate(sorted((tmp_path / "out").rglob("*.dcm"))):
        dataset, hu = read_dicom(path)
        stored = np.rint((denoise(hu) - float(dataset.RescaleIntercept)) / float(dataset.RescaleSlope))
        dataset.set_pixel_data(stored.astype(np.int16), "MONOCHROME2", 16, generate_instance_uid=False)
        dataset.save_as(back / f"IM{number:06d}")
    directory = pydicom.Dataset()
    directory.file_meta = pydicom.dataset.FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    directory.FileSetID = "DISC"
    directory.DirectoryRecordSequence = []
    directory.save_as(back / "DICOMDIR", enforce_file_format=True)
    for name in (".DS_Store", "Thumbs.db", "readme.txt", "empty", "__MACOSX/._IM000001.dcm"):
        (back / name).write_bytes(b"" if name == "empty" else b"\0\5\x16\7 nothing to see")
    import_study(run, back, "box")
    check_images(run, "box", key.splits, step=1.0)


def test_a_name_without_images_can_be_given_some(run, tmp_path):
    """As after a kill between the settings and the images, or between these and the record of them."""
    key = export(run, tmp_path / "out", format="npy")
    returned_npy(run, key, tmp_path / "back")
    named = RunFolder(run.path, with_import(run.settings, "box"), device=torch.device("cpu"))
    import_study(named, tmp_path / "back", "box")
    check_images(named, "box", key.splits, step=1e-3)
    (run.path / "stages" / "import=box.json").unlink()
    import_study(opened(run.path), tmp_path / "back", "box")
    with pytest.raises(UserError, match="has images of box already"):
        import_study(opened(run.path), tmp_path / "back", "box")


def test_a_replacement_that_fails_leaves_the_images(run, tmp_path, monkeypatch):
    key = export(run, tmp_path / "out", format="npy")
    returned_npy(run, key, tmp_path / "back")
    import_study(run, tmp_path / "back", "box")
    images = {split: np.array(read_import(run, "box", split)) for split in key.splits}

    def fail(*args, **options):
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("taskct.study.imports.write_json", fail)
        with pytest.raises(OSError, match="full"):
            import_study(opened(run.path), tmp_path / "back", "box", ImportOptions(replace=True))
    assert [one.name for one in (run.path / "imported").iterdir()] == ["box"]
    for split, before in images.items():
        np.testing.assert_array_equal(read_import(run, "box", split), before)
    import_study(opened(run.path), tmp_path / "back", "box", ImportOptions(replace=True))


def test_the_commands(run, tmp_path, call):
    code, out, err = call("export", run.path, tmp_path / "out", "--format", "npy", "--progress", "none")
    assert code == 0, err
    assert "88 images: 16 validation, 24 fresh, 24 twins, 24 test" in out.replace("\n", " ")
    code, out, err = call("import", run.path, tmp_path / "out", "--name", "same", "--progress", "none")
    assert code == 2
    assert len(err.splitlines()) == 1
    (path,) = (tmp_path / "out").glob("*.npy")
    np.save(path, denoise(np.load(path)))
    code, out, err = call("import", run.path, tmp_path / "out", "--name", "vendor-x", "--progress", "none")
    assert code == 0, err
    assert opened(run.path).settings.imported.names == ("vendor-x",)
    assert Path(run.path / "imported" / "vendor-x" / "card.json").is_file()


@pytest.mark.slow
def test_scikit_image_behind_export_and_import(tmp_path, call):
    """A script on DICOM files becomes an arm: as good as the same filter within Python, and on the page."""
    place = tmp_path / "run"
    study = {
        "trials": {**SIZE, "n_validation": 60, "n_fresh": 200, "n_test": 200},
        "training": {"method": "none"},
        "scanner": {"n_views": 60, "n_bins": 184, "bin_mm": 3.7},
    }
    folder = RunFolder(place, tiny_settings(**study), device=torch.device("cpu"))
    sweep(folder, ["simulate"])
    quiet = ("--progress", "none")
    assert call("export", place, tmp_path / "to", "--step-hu", "0.1", *quiet)[0] == 0
    script = Path(__file__).parents[1] / "black_box.py"
    subprocess.run([sys.executable, "-W", "error", script, tmp_path / "to", tmp_path / "from"], check=True)
    code, _, err = call("import", place, tmp_path / "from", "--name", "nlm", "--software", "scikit-image", *quiet)
    assert code == 0, err
    assert call("evaluate", place, *quiet)[0] == 0
    assert call("report", place)[0] == 0
    run = opened(place)
    low = low_dose(run, "test")
    wanted = np.stack([denoise_nl_means(one, patch_size=5, patch_distance=5, h=15, sigma=25) for one in low])
    assert np.abs(read_import(run, "nlm", "test") - wanted).mean() < 0.1  # rounded before and after, 0.1 HU each
    summary = json.loads((place / "summary.json").read_text(encoding="utf-8"))
    rmse = {arm["name"]: arm["image_quality"]["rmse_hu"]["value"] for arm in summary["arms"]}
    # Worked out apart, over the region without its margin.
    error = (wanted - run.read("test").reference)[:, 4:-4, 4:-4]
    assert rmse["import=nlm"] == pytest.approx(float(np.sqrt((error**2).mean())), rel=1e-3)
    assert rmse["import=nlm"] < rmse["low-dose"]
    assert {"import=nlm", "low-dose"} <= {name for pair in summary["paired"] for name in (pair["arm"], pair["versus"])}
    assert "nlm" in (place / "report.html").read_text(encoding="utf-8")
