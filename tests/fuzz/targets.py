"""What is fuzzed: a folder of small valid files of every kind, and how taskct reads each."""

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from PIL import Image
from safetensors.torch import save_file

from dicom_files import ct_slice, save
from human_noise import HUMAN_NOISE
from path_files import save_task_path
from reading_studies import make_disc_study
from some_trials import some_splits
from taskct import load_denoiser, open_run
from taskct.apply.curves import read_dose_table
from taskct.apply.human.people import read_conditions
from taskct.apply.round_trip import ExportOptions, export_study
from taskct.apply.round_trip.key import read_keys
from taskct.apply.round_trip.returned_files import Collector, choose_key, find_files
from taskct.config import make_settings
from taskct.config.yaml_files import read_yaml
from taskct.errors import UserError
from taskct.io import nifti
from taskct.io.cluster_files import read_clusters
from taskct.io.dicom import read_series, read_slice
from taskct.io.image_stack import read_images, read_npy
from taskct.io.marks_files import is_marks, read_marks
from taskct.io.ratings_files import (
    header_notes,
    read_clustered_ratings,
    read_imrmc,
    read_ratings_csv,
    write_imrmc,
    write_ratings_csv,
)
from taskct.io.truth_table import read_truth
from taskct.io.volume_files import read_volumes
from taskct.metrics.mrmc.ratings import Ratings
from taskct.observers import HumanLike, read_fitted_noise
from taskct.observers.internal_noise import write_fitted_noise
from taskct.reading_room import study_files
from taskct.reading_room.answer import Answer, Event, Mark
from taskct.reading_room.answers import AnswerBook, now
from taskct.reading_room.folder import StudyFolder
from taskct.reading_room.submission import InvalidBody, read_event, read_submission
from taskct.report import load_run
from taskct.study.arm_result import read_images as read_kept_images
from taskct.study.arm_result import read_result
from taskct.study.arms import arms_of
from taskct.study.model_results import read_model_results
from taskct.study.records import read_failures
from taskct.study.result_files import write_results
from taskct.study.run_folder import RunFolder
from taskct.tasks.layout_file import find_layout
from taskct.training import record
from taskct.training.given_weights import read_given_weights
from taskct.trials.store import read_case_kind, read_trials, write_trials
from taskct.trials.trials import SPLITS
from tiny_study import run_study, tiny_settings, tiny_yaml
from tiny_training import tiny_train

IDENTIFIER = "CANARY"
"""Part of everything that identifies the patient; no message may hold it."""

MODEL, BLEND = "run/models/lambda=0.9_seed=0", "run/models/lambda=0.9_seed=0.blend"
PATH = "path/path_seed=0"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Target:
    """A kind of files, and what reads them."""

    files: tuple[str, ...]
    """Patterns of those that are changed, below the workspace."""
    read: Callable[[Path], object]
    """Reads them; an AssertionError says that what was read is no such thing."""
    command: str = ""
    """Arguments of a command that reads them, below the workspace; every fourth case goes there."""
    share: int = 10
    """Of all cases."""
    writes: tuple[str, ...] = ()
    """Names of files that it may write beside what it reads."""
    trusted: bool = False
    """Whether its files may name code to import."""


# --- valid files ------------------------------------------------------------------------------------------------------


class _Stopped(Exception):  # noqa: N818 - nothing went wrong
    pass


def _make_dicom(folder: Path) -> None:
    for index in range(3):
        tags = {
            "PatientName": f"ZZIDENT^{IDENTIFIER}", "PatientID": f"{IDENTIFIER}4711", "PatientBirthDate": "19010203",
            "InstitutionName": f"{IDENTIFIER} HOSPITAL", "AccessionNumber": f"{IDENTIFIER}9", "RescaleType": "HU",
            "SliceThickness": 2.0, "KVP": 120, "XRayTubeCurrent": 200, "SeriesNumber": 4, "InstanceNumber": index + 1,
            "SpecificCharacterSet": "ISO_IR 100", "SOPInstanceUID": f"1.2.3.4.{index + 1}", "AcquisitionNumber": 1,
        }  # fmt: skip
        dataset = ct_slice(z=2.0 * index, **tags)
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        save(folder / f"{index}.dcm", dataset)


def _make_arrays(folder: Path) -> None:
    import nibabel

    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 1000, size=(6, 8, 8)).astype(np.int16)
    for name in ("nifti", "gzip", "labels", "npy", "tiff", "png"):
        (folder / name).mkdir()
    affine = np.diag([-1.0, -2.0, 2.5, 1.0])
    for file in ("nifti/head.nii", "gzip/head.nii.gz"):
        nibabel.save(nibabel.Nifti1Image(hu, affine), folder / file)
    nibabel.save(nibabel.Nifti1Image((hu > 0).astype(np.uint8), affine), folder / "labels" / "head.nii")
    np.save(folder / "npy" / "hu.npy", hu.astype(np.float32))
    zarr.save_array(str(folder / "two.zarr"), hu, zarr_format=2)
    zarr.open_group(str(folder / "three.zarr"), mode="w").create_array("images", data=hu)
    for index, options in enumerate(({}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"})):
        Image.fromarray(hu[index].astype((np.uint16, np.float32, np.int32)[index])).save(
            folder / "tiff" / f"{index}.tif", **options
        )
    Image.fromarray((hu[0] + 1024).astype(np.uint16)).save(folder / "png" / "0.png")
    Image.fromarray(hu[1].astype(np.uint8)).save(folder / "png" / "1.png")


def _make_headers(folder: Path) -> None:
    """MetaImage and NRRD files, their words behind the header, beside it and in files of a list."""
    hu = np.random.default_rng(2).integers(-1000, 1000, size=(6, 8, 8)).astype("<i2")
    meta = "ObjectType = Image\nNDims = 3\nComment = " + IDENTIFIER + "\nBinaryDataByteOrderMSB = False\n"
    meta += (
        "ElementSpacing = 0.7 0.7 2\nTransformMatrix = 1 0 0 0 1 0 0 0 1\nDimSize = 8 8 6\nElementType = MET_SHORT\n"
    )
    nrrd = "NRRD0005\n# of " + IDENTIFIER + "\ntype: short\ndimension: 3\nsizes: 8 8 6\nendian: little\nencoding: raw\n"
    listed = "LIST\n" + "\n".join(f"w_{index:03d}.raw" for index in range(1, 7)) + "\n"
    where = ("words.raw\n", "w_%03d.raw 1 6 1\n", listed)
    for name, head, key, endings in (
        ("metaimage", meta, "ElementDataFile = ", (".mha", ".mhd")),
        ("nrrd", nrrd, "data file: ", (".nrrd", ".nhdr")),
    ):
        for number, words in enumerate(where):
            place = folder / name / str(number)
            place.mkdir(parents=True)
            (place / f"hu{endings[1]}").write_text(head + key + words, encoding="utf-8")
            (place / "words.raw").write_bytes(hu.tobytes())
            for index, image in enumerate(hu, start=1):
                (place / f"w_{index:03d}.raw").write_bytes(image.tobytes())
        (folder / name / "3").mkdir()
        local = head + (f"{key}LOCAL\n" if name == "metaimage" else "space: LPS\n\n")
        (folder / name / "3" / f"hu{endings[0]}").write_bytes(local.encode() + hu.tobytes())


def _make_tables(folder: Path) -> None:
    rng = np.random.default_rng(1)
    for name in ("ratings", "imrmc", "truth", "clusters", "clustered"):
        (folder / name).mkdir()
    readers, cases = ("anna", "ben", "[three]"), tuple(f"case {index}" for index in range(8))
    ratings = Ratings(rng.normal(size=(2, 3, 8)).round(2), np.arange(8) % 2 == 0, ("FBP", "IR"), readers, cases)
    write_ratings_csv(folder / "ratings" / "study.csv", ratings)
    write_imrmc(folder / "imrmc" / "study.imrmc", ratings, description="A study\nNR: 3")
    write_ratings_csv(folder / "clustered" / "study.csv", ratings, clusters=np.arange(8) // 2)
    rows = [f"{case},patient {index // 2}" for index, case in enumerate(cases)]
    (folder / "clusters" / "clusters.csv").write_text("\n".join(["case,cluster", *rows, ""]), encoding="utf-8")
    rows = [f"{index},{index % 2},3.5,4,{index // 2},{('train', 'test')[index // 3]}" for index in range(6)]
    header = "image,signal_present,row_px,column_px,case,split"
    (folder / "truth" / "truth.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    (folder / "people").mkdir()
    rows = [f"{size} mm,{reader},50,{40 + size},{size},15,FBP,p.npy,a.npy" for size in (3, 6) for reader in readers]
    header = "condition,reader,n_trials,n_correct,size_mm,contrast_hu,arm,present,absent"
    (folder / "people" / "conditions.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    for name in ("p", "a"):
        np.save(folder / "people" / f"{name}.npy", rng.normal(size=(4, 8, 8)))
    (folder / "people" / "human.json").write_text(write_fitted_noise(HUMAN_NOISE), encoding="utf-8")
    (folder / "doses").mkdir()
    columns = "reconstruction,dose,rod,diameter_mm,scan,signal_present,score"
    rows = [
        f"{name},{dose},3 mm,3,{present}-{i},{present},{rng.normal() + present:.2f}"
        for name in ("FBP", "IR")
        for dose in (10, 55)
        for present in (1, 0)
        for i in range(4)
    ]
    (folder / "doses" / "scores.csv").write_text("\n".join([columns, *rows, ""]), encoding="utf-8")
    entry = "{reconstruction: FBP, dose: 10, present: a.npy, absent: b.npy, diameter_mm: 3, byte_order: big, slope: 2}"
    (folder / "doses" / "scans.yaml").write_text(f"scans:\n- {entry}\n", encoding="utf-8")


def _make_marks(folder: Path) -> None:
    rng = np.random.default_rng(2)
    names = [(reader, case, modality) for reader in ("anna", "ben") for modality in ("FBP", "IR") for case in range(8)]
    truth = [f"truth,case {case},,{'node' if case < 4 else ''},,{'1' if case < 4 else ''}" for case in range(8)]
    marks = [
        f"{reader},case {case},{modality},{'node' if case < 4 and reader == 'anna' else ''},{rng.normal():.2f},"
        for reader, case, modality in names
    ]
    header = "reader,case,modality,lesion,rating,weight"
    (folder / "marks").mkdir()
    (folder / "marks" / "study.csv").write_text("\n".join([header, *truth, *marks, ""]), encoding="utf-8")
    truth = [f"truth,case {case},,{'30,40,5' if case < 4 else ',,'}," for case in range(8)]
    marks = [f"{reader},case {case},{modality},{9 + 22 * (case % 2)},41,,{case}" for reader, case, modality in names]
    header = "reader,case,modality,row_px,column_px,radius_px,rating"
    (folder / "places").mkdir()
    (folder / "places" / "study.csv").write_text("\n".join([header, *truth, *marks, ""]), encoding="utf-8")


def _make_layout(path: Path) -> None:
    path.parent.mkdir()
    rods = "".join(
        f"  - {{diameter_mm: {size}, contrast_hu: {hu}, radius_mm: 4e1, angle_deg: {angle}}}\n"
        for size, hu, angle in ((3, 14, -45), (10.0, 3.5, 45))
    )
    path.write_text(f"name: two rods\ndiameter_mm: 200\nbody_hu: 0\nmirrored: false\nrods:\n{rods}", encoding="utf-8")


def _make_old_trials(path: Path) -> None:
    """A store of Zarr, as earlier versions wrote it."""
    root = zarr.open_group(str(path), mode="w", attributes={"group_name": "phantoms"})
    for name, trials in some_splits().items():
        group = root.create_group(name)
        table = np.stack(list(trials.truth.values()), axis=1)
        for key, array in (("noisy", trials.noisy), ("reference", trials.reference)):
            group.create_array(key, data=array)
        group.create_array("signal_present", data=trials.signal_present)
        group.create_array("truth", data=table, attributes={"columns": list(trials.truth)})


def _make_state(path: Path) -> None:
    def stop(done: int, total: int, detail: str) -> None:
        if done >= 20:
            raise _Stopped

    path.parent.mkdir()
    every, record.STATE_EVERY_S = record.STATE_EVERY_S, 0.0
    try:
        tiny_train(path, epochs=2, progress=stop)
    except _Stopped:
        pass
    finally:
        record.STATE_EVERY_S = every


def _make_given(folder: Path) -> None:
    """Weights from elsewhere, as torch and safetensors save them."""
    folder.mkdir()
    state = _theirs().state_dict()
    torch.save({"epoch": 1, "state_dict": state}, folder / "theirs.pt")
    save_file(state, str(folder / "theirs.safetensors"))


def _make_reading(folder: Path) -> None:
    """A reading study with answers, and what a browser sends."""
    study = make_disc_study(folder / "study", "froc", scale=5, n_cases=4, size=16)
    place = {"row_px": 3, "column_px": 4.5, "rating": 5}
    with AnswerBook(folder / "answers.sqlite") as book:
        for position in range(4):
            marks = (Mark(3.0, 4.5, position + 1),) * position
            book.record(Answer("reader-1", "reading", position, position, 1.5, now(), marks=marks), {"zoom": 2})
        book.note(Event("reader-1", now(), "display", 0, {"screen": IDENTIFIER}))
    answer = {"phase": "reading", "position": 3, "seconds": 1.5, "choice": None, "rating": None, "marks": [place] * 2}
    shown = {"centre_hu": 40.0, "width_hu": 400, "zoom": 2}
    bodies = {"answer": answer | {"displayed": shown}, "event": {"kind": "display", "detail": {"screen": IDENTIFIER}}}
    for name, body in bodies.items():
        (folder / f"{name}.json").write_text(json.dumps(body), encoding="utf-8")
    assert study.protocol.n_trials > 3


def _theirs() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.nn.Conv2d(1, 1, 3)


def _read_given(place: Path) -> None:
    for name in ("theirs.pt", "theirs.safetensors"):
        found = read_given_weights(place / "given" / name, _theirs(), "theirs").tensors
        assert {key: value.shape for key, value in found.items()} == {"weight": (1, 1, 3, 3), "bias": (1,)}
        assert all(bool(torch.isfinite(value).all()) for value in found.values())


def make_workspace(folder: Path) -> Path:
    """All valid files, below a new folder."""
    with warnings.catch_warnings(action="ignore"):
        for name in ("elsewhere", "out", "settings"):
            (folder / name).mkdir(parents=True)
        _make_dicom(folder / "dicom")
        _make_arrays(folder)
        _make_headers(folder)
        _make_tables(folder)
        _make_marks(folder)
        _make_given(folder / "given")
        (folder / "reading").mkdir()
        _make_reading(folder / "reading")
        tiny_yaml(folder / "settings" / "study.yaml")
        _make_layout(folder / "layouts" / "two.yaml")
        write_trials(folder / "trials", some_splits())
        _make_old_trials(folder / "old-trials")
        _make_state(folder / "state" / "state.safetensors")
        run_study(folder / "run", tiny_settings(), report=True)
        export_study(_folder(folder), folder / "back", ExportOptions(("test",), "npy", stacks=True, secret="0"))
        save_task_path(folder / f"{PATH}.safetensors")
        failed = {"stage": "pretrain seed=0", "arm": "mse", "seed": 0, "problem": "the loss is not finite"}
        failures = {"schema": 1, "failed": [failed], "skipped": []}
        (folder / "run" / "failures.json").write_text(json.dumps(failures), encoding="utf-8")
    return folder


# --- what reads them --------------------------------------------------------------------------------------------------


def _check_hu(images: Any, n_axes: int = 3) -> None:
    assert images.dtype == np.float32
    assert images.ndim == n_axes
    assert np.isfinite(images).all()


def _read_series(place: Path) -> None:
    _check_hu(read_series(place / "dicom").image_hu)


def _read_slice(place: Path) -> None:
    _check_hu(read_slice(place / "dicom" / "0.dcm").image_hu)


def _read_stack(name: str) -> Callable[[Path], None]:
    return lambda place: _check_hu(read_images(place / name).images)


def _read_stacks(name: str) -> Callable[[Path], None]:
    """Every stack of a kind; one that is refused does not keep the others from being read."""

    def read(place: Path) -> None:
        refused = None
        for number in range(4):
            try:
                _check_hu(read_images(place / name / str(number)).images)
            except UserError as error:
                refused = error
        if refused is not None:
            raise refused

    return read


def _read_nifti_images(place: Path) -> None:
    _check_hu(read_images(place / "nifti" / "head.nii").images)
    _check_hu(read_images(place / "gzip" / "head.nii.gz").images)


def _read_npy(place: Path) -> None:
    _check_hu(read_images(place / "npy" / "hu.npy").images)
    assert np.isfinite(read_npy(place / "npy" / "hu.npy")).all()


def _read_volumes(name: str) -> Callable[[Path], None]:
    def read(place: Path) -> None:
        for volume in read_volumes(place / name):
            _check_hu(volume.image_hu)

    return read


def _read_labels(place: Path) -> None:
    volume = nifti.read_nifti(place / "nifti" / "head.nii")
    labels = nifti.read_label_map(place / "labels" / "head.nii", like=volume)
    assert labels.shape == volume.image_hu.shape
    read_volumes(place / "nifti", organs_path=place / "labels")


def _read_truth(place: Path) -> None:
    truth = read_truth(place / "truth" / "truth.csv", [f"hu.npy[{index}]" for index in range(6)])
    assert truth.signal_present.shape == (6,)


def _read_imrmc(place: Path) -> None:
    header_notes(place / "imrmc" / "study.imrmc", read_imrmc(place / "imrmc" / "study.imrmc"))


def _read_marks(name: str) -> Callable[[Path], None]:
    def read(place: Path) -> None:
        is_marks(place / name / "study.csv")
        read_marks(place / name / "study.csv")

    return read


def _read_settings(place: Path) -> None:
    make_settings(read_yaml(place / "settings" / "study.yaml"))


def _use_model(stem: str) -> Callable[[Path], None]:
    def use(place: Path) -> None:
        denoiser = load_denoiser(place / f"{stem}.safetensors")
        repr(denoiser)
        denoiser(torch.zeros(1, 16, 16))

    return use


def _take_back(place: Path) -> None:
    files = find_files(place / "back")
    collector = Collector(choose_key(read_keys(place / "run"), place / "back", files, None), place / "back")
    for file in files:
        collector.add(file)
    collector.check_whole()
    assert all(np.isfinite(images).all() for images in collector.images.values())


def _find_slices(place: Path) -> None:
    for file in find_files(place / "dicom"):
        assert file.header is not None


def _go_on(place: Path) -> None:
    tiny_train(place / "state" / "state.safetensors", epochs=2)


def _folder(place: Path) -> RunFolder:
    return RunFolder(place / "run", None, device=CPU, read_only=True)


def _read_records(place: Path) -> None:
    folder = _folder(place)
    folder.provenance()
    for stage in folder.graph.values():
        folder.has(stage)
        folder.outdated(stage.name)
    read_failures(place / "run")


def _check_trials(read: Callable[[str], Any]) -> None:
    for split in SPLITS:
        trials = read(split)
        n = len(trials)
        assert trials.noisy.shape == trials.reference.shape
        assert trials.noisy.dtype == trials.reference.dtype == np.float32
        assert trials.signal_present.shape == (n,)
        assert trials.signal_present.dtype == bool
        assert all(column.shape == (n,) and column.dtype == np.float64 for column in trials.truth.values())
        float(np.asarray(trials.noisy).sum() + np.asarray(trials.reference).sum())


def _read_store(name: str) -> Callable[[Path], None]:
    def read(place: Path) -> None:
        _check_trials(lambda split: read_trials(place / name, split))
        read_case_kind(place / name)

    return read


def _use_trials(place: Path) -> None:
    opened = open_run(place / "run", device="cpu")
    _check_trials(opened.trials)
    opened.arm("low-dose").images("test")


def _read_evaluated(place: Path) -> None:
    folder = _folder(place)
    for arm in arms_of(folder.settings):
        result = read_result(folder, arm)
        assert all(scores.ndim == 1 for scores in result.scores.values())
        kept = folder.evaluated(arm.file_stem)
        if kept.with_name(kept.name + ".images.npz").exists():
            for images in read_kept_images(kept).values():
                assert images.ndim == 3


def _write_results(place: Path) -> None:
    write_results(_folder(place))


def _read_results(place: Path) -> None:
    opened = open_run(place / "run", device="cpu")
    opened._repr_html_()
    for table in (opened.scores, opened.quality, opened.summary):
        assert len({len(column) for column in table.values()}) <= 1
    load_run(place / "run")


def _read_reading_study(place: Path) -> None:
    """Each file for itself, since digests keep changed ones from all readers; then the whole."""
    path = place / "reading" / "study"
    study_files.read_card(path / "study.json")
    protocol = study_files.read_protocol(path / "protocol.json")
    images = study_files.map_images(path / "images.npy", protocol)
    study_files.map_images(path / "training.npy", protocol)
    study_files.read_training(path / "training.json", protocol)
    study_files.read_orders(path / "order.json", protocol, len(images))
    study_files.read_key(path / "key.json", protocol, len(images))
    study_files.read_links(path / "links.json")
    StudyFolder.open(path).read_key()


def _read_answers(place: Path) -> None:
    with AnswerBook(place / "reading" / "answers.sqlite", read_only=True) as book:
        for phase in ("training", "reading"):
            assert all(isinstance(one, Answer) for one in book.answers(phase))
            book.displayed(phase)
        assert all(isinstance(one, Event) for one in book.events())
        assert isinstance(book.is_closed, bool)


def _read_bodies(place: Path) -> None:
    protocol = study_files.read_protocol(place / "reading" / "study" / "protocol.json")
    try:
        read_submission((place / "reading" / "answer.json").read_bytes(), protocol)
        read_event((place / "reading" / "event.json").read_bytes())
    except InvalidBody as error:
        raise UserError(str(error)) from error


RESULTS = tuple(f"run/{name}.json" for name in ("choices", "groups", "hallucination", "retraining", "summary", "task"))
RESULTS += ("run/tradeoff.json", "run/provenance.json", "run/failures.json", "run/scores.csv", "run/quality.csv")
RESULTS += ("run/examples.npz", "run/study.yaml", "run/harm.npz", "run/physics.npz")
RESULTS += tuple(f"run/{name}.json" for name in ("conventions", "efficiency", "frozen", "harm", "limits", "strata"))
RESULTS += ("run/physics.json",)
OBSERVE = "observe --observers npw --present {0} --absent npy/hu.npy"
DENOISE = f"denoise --anyway {MODEL}.safetensors {{0}} out/result"
USE = "denoise --anyway {0}.safetensors npy/hu.npy out/result.npy"
DRY = "run run/study.yaml --out run --dry-run"

TARGETS = {
    "dicom-slice": Target(("dicom/0.dcm",), _read_slice, DENOISE.format("dicom/0.dcm") + ".dcm", 160),
    "dicom-series": Target(("dicom/*.dcm",), _read_series, DENOISE.format("dicom"), 140),
    "dicom-images": Target(("dicom/*.dcm",), _read_stack("dicom"), OBSERVE.format("dicom"), 40),
    "dicom-lower-dose": Target(
        ("dicom/1.dcm",), _read_volumes("dicom"), "lower-dose dicom out/low --dose-fraction 0.5 --noise-hu 20", 20
    ),
    "nifti": Target(("nifti/*",), _read_volumes("nifti"), DENOISE.format("nifti/head.nii") + ".nii", 90),
    "nifti-gzip": Target(("gzip/*",), _read_volumes("gzip"), DENOISE.format("gzip/head.nii.gz") + ".nii.gz", 60),
    "nifti-labels": Target(("labels/*",), _read_labels, "", 40),
    "npy": Target(("npy/*",), _read_npy, DENOISE.format("npy/hu.npy") + ".npy", 100),
    "zarr-2": Target(("two.zarr/**/*",), _read_stack("two.zarr"), OBSERVE.format("two.zarr"), 50),
    "zarr-3": Target(("three.zarr/**/*",), _read_stack("three.zarr"), OBSERVE.format("three.zarr"), 60),
    "tiff": Target(("tiff/*",), _read_stack("tiff"), OBSERVE.format("tiff"), 90),
    "png": Target(("png/*",), _read_stack("png"), OBSERVE.format("png"), 60),
    "metaimage": Target(
        ("metaimage/*/hu.*", "metaimage/0/words.raw"),
        _read_stacks("metaimage"),
        OBSERVE.format("metaimage/3/hu.mha"),
        70,
    ),
    "nrrd": Target(("nrrd/*/hu.*", "nrrd/0/words.raw"), _read_stacks("nrrd"), OBSERVE.format("nrrd/3/hu.nrrd"), 70),
    "nifti-images": Target(("nifti/*", "gzip/*"), _read_nifti_images, OBSERVE.format("nifti/head.nii"), 40),
    "returned": Target(("back/*", "run/exported/*.json"), _take_back, "", 40),
    "returned-dicom": Target(("dicom/*.dcm",), _find_slices, "import run dicom --name box", 30),
    "ratings-csv": Target(
        ("ratings/*",), lambda place: read_ratings_csv(place / "ratings" / "study.csv"), "mrmc ratings/study.csv", 80
    ),
    "marks-csv": Target(("marks/*",), _read_marks("marks"), "mrmc marks/study.csv", 60),
    "places-csv": Target(("places/*",), _read_marks("places"), "mrmc places/study.csv", 60),
    "clustered-ratings": Target(
        ("clustered/*",),
        lambda place: read_clustered_ratings(place / "clustered" / "study.csv"),
        "mrmc clustered/study.csv --cutoff 0",
        40,
    ),
    "clusters-csv": Target(
        ("clusters/*",),
        lambda place: read_clusters(place / "clusters" / "clusters.csv", [f"case {index}" for index in range(8)]),
        "mrmc ratings/study.csv --clusters clusters/clusters.csv --cutoff 0",
        40,
    ),
    "imrmc": Target(("imrmc/*",), _read_imrmc, "mrmc imrmc/study.imrmc", 80),
    "people": Target(
        ("people/conditions.csv",),
        lambda place: read_conditions(place / "people" / "conditions.csv", 2),
        "human people/conditions.csv --pixel-mm 0.7",
        40,
    ),
    "human": Target(
        ("people/human.json",),
        lambda place: HumanLike(human=read_fitted_noise(place / "people" / "human.json")),
        "",
        40,
    ),
    "dose-csv": Target(("doses/scores.csv",), lambda place: read_dose_table(place / "doses" / "scores.csv"), "", 50),
    "dose-yaml": Target(("doses/scans.yaml",), lambda place: read_dose_table(place / "doses" / "scans.yaml"), "", 30),
    "truth-csv": Target(
        ("truth/*",), _read_truth, "observe npy/hu.npy --observers npw --truth truth/truth.csv --mode centred", 60
    ),
    "settings": Target(("settings/*",), _read_settings, "config settings/study.yaml", 120, trusted=True),
    "layout": Target(("layouts/*",), lambda place: find_layout(place / "layouts" / "two.yaml"), "", 30),
    "model-results": Target(
        (f"{MODEL}.results.json",),
        lambda place: read_model_results(place / f"{MODEL}.safetensors"),
        f"card {MODEL}.safetensors",
        30,
    ),
    "card": Target((f"{MODEL}.json",), _use_model(MODEL), USE.format(MODEL), 70),
    "weights": Target((f"{MODEL}.safetensors",), _use_model(MODEL), USE.format(MODEL), 70),
    "blend": Target((f"{BLEND}.*", f"{MODEL}.json"), _use_model(BLEND), USE.format(BLEND), 40),
    "path": Target((f"{PATH}.*",), _use_model(PATH), USE.format(PATH), 40),
    "given-weights": Target(("given/*",), _read_given, "", 60),
    "state": Target(("state/state.safetensors",), _go_on, "", 30, ("state.safetensors",)),
    "records": Target(("run/stages/*.json", "run/failures.json", "run/provenance.json"), _read_records, DRY, 100),
    "study": Target(("run/study.yaml",), _read_records, "report run", 40, ("report.html",)),
    "trials": Target(("trials/**/*",), _read_store("trials"), "", 30),
    "trials-of-run": Target(("run/trials/**/*",), _use_trials, "", 30),
    "trials-zarr": Target(("old-trials/**/*",), _read_store("old-trials"), "", 20),
    "evaluated": Target(("run/evaluated/*",), _read_evaluated, "", 40),
    "results-anew": Target(("run/evaluated/*", "run/trials/**/*"), _write_results, "", 12, ("*",)),
    "results": Target(RESULTS, _read_results, "mrmc run --observer ho", 140),
    "reading-study": Target(("reading/study/*",), _read_reading_study, "", 60),
    "reading-answers": Target(("reading/answers.sqlite",), _read_answers, "", 60),
    "reading-bodies": Target(("reading/*.json",), _read_bodies, "", 60),
    "report": Target(RESULTS, lambda place: load_run(place / "run"), "report run", 40, ("report.html",)),
}
"""By name, such as `--format` of `run.py` takes."""


def endings(file: Path) -> str:
    """The ending that says how a file is changed."""
    if file.name in (".zarray", ".zgroup", ".zattrs", ".zmetadata"):
        return ".json"
    return ".nii.gz" if file.name.endswith(".nii.gz") else file.suffix
