"""Reading studies of a folder of images: the same cases in every arm, all that is wrong told in one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dicom_files import ct_slice, save
from taskct.errors import UserError
from taskct.reading_room.design import ReadingPlan
from taskct.reading_room.from_folder import material_of_folder
from taskct.reading_room.making import make_study

RATING = ReadingPlan("rating")


def image(seed: int, *, size: int = 24) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(40.0, 15.0, (size, size)).astype(np.float32)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two arms of four cases with a signal and five without; `fbp` in single files, `net` 100 HU above."""
    for arm, offset in (("fbp", 0.0), ("net", 100.0)):
        for of_class, n in (("present", 4), ("absent", 5)):
            folder = tmp_path / "images" / arm / of_class
            folder.mkdir(parents=True)
            for number in range(n):
                np.save(folder / f"c{number}.npy", image(10 * n + number) + np.float32(offset))
    return tmp_path / "images"


def _truth(place: Path, change: Callable[[str], str] = lambda text: text) -> None:
    rows = [f"present/c{i}.npy,1,{5 + i},7,p{i // 2}" for i in range(4)]
    rows += [f"absent/c{i}.npy,0,5,7,q{i}" for i in range(5)]
    text = "\n".join(["image,signal_present,row_px,column_px,case", *rows, ""])
    (place / "truth.csv").write_text(change(text), encoding="utf-8")


def test_every_arm_shows_the_same_cases(place: Path) -> None:
    material = material_of_folder(place, RATING)
    cases = material.cases
    assert list(cases.images) == ["fbp", "net"]
    assert cases.present.sum() == 4
    assert len(cases) == 9
    for number, name in enumerate(cases.names):
        of_class, case = name.split("/")
        wanted = image(10 * (4 if of_class == "present" else 5) + int(case[1:]))
        assert np.abs(cases.images["fbp"][number] - wanted).max() <= 0.5
        assert np.abs(cases.images["net"][number] - wanted - 100.0).max() <= 0.51
    low, high = np.percentile(np.concatenate(list(cases.images.values())), (1.0, 99.0))
    centre, width = material.window_hu
    assert centre - width / 2.0 == pytest.approx(low, abs=5.0)
    assert centre + width / 2.0 == pytest.approx(high, abs=5.0)
    assert list(material_of_folder(place, RATING, ["net"]).cases.images) == ["net"]


def test_stacks_and_other_kinds_of_files_pair_by_number_and_name(place: Path) -> None:
    stack = np.stack([image(40 + number) for number in range(4)])
    (place / "stacks").mkdir()
    for of_class, n in (("present", 4), ("absent", 5)):
        folder = place / "stacks" / of_class
        folder.mkdir()
        pictures = np.stack([image(10 * n + number) for number in range(n)])
        for number, one in enumerate(pictures):
            Image.fromarray(np.rint(one + 1000.0).astype(np.uint16)).save(folder / f"c{number}.png")
    cases = material_of_folder(place, RATING, ["fbp", "stacks"]).cases
    assert np.abs(cases.images["stacks"] - cases.images["fbp"] - 1000).max() <= 1
    for arm in ("one", "two"):
        for of_class in ("present", "absent"):
            (place / arm / of_class).mkdir(parents=True)
            np.save(place / arm / of_class / f"{arm}.npy", stack + (of_class == "absent"))
    cases = material_of_folder(place, RATING, ["one", "two"]).cases
    assert cases.names[:2] == ("present/000000", "present/000001")
    assert np.array_equal(cases.images["one"], cases.images["two"])


def test_dicom_tells_its_pixels_and_no_patient_reaches_the_study(tmp_path: Path) -> None:
    who = {"PatientName": "CANARY^ANN", "PatientID": "CANARY4711", "InstitutionName": "CANARY HOSPITAL"}
    for arm in ("fbp", "net"):
        for of_class in ("present", "absent"):
            for number in range(3):
                rng = np.random.default_rng([number, len(of_class), len(arm)])
                tags = who | {"PixelSpacing": [0.6, 0.6], "SOPInstanceUID": f"1.2.3.{number}.{len(of_class)}"}
                stored = (image(int(rng.integers(99)), size=16) + 1024.0).astype(np.uint16)
                slice_ = ct_slice(stored=stored, Rows=16, Columns=16, **tags)
                slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID
                save(tmp_path / "images" / arm / of_class / f"c{number}.dcm", slice_)
    plan = ReadingPlan("rating")
    material = material_of_folder(tmp_path / "images", plan)
    assert material.pixel_mm == 0.6
    assert abs(material.cases.images["fbp"].mean() - 40.0) < 5.0  # HU
    study = make_study(tmp_path / "study", material, plan)
    assert not any(b"CANARY" in file.read_bytes() for file in study.path.iterdir())


def test_places_and_patients_come_from_the_table(place: Path, tmp_path: Path) -> None:
    _truth(place)
    plan = ReadingPlan("locate", radius_mm=3.0)
    material = material_of_folder(place, plan, pixel_mm=0.7)
    assert [lesions[0].row_px for lesions in material.cases.lesions[:4]] == [5.0, 6.0, 7.0, 8.0]
    assert material.cases.lesions[4:] == ((),) * 5
    assert len(set(material.cases.backgrounds)) == 7
    study = make_study(tmp_path / "study", material, plan)
    assert study.protocol.pixel_mm == 0.7
    assert study.read_key().radius_mm == 3.0


def test_a_case_may_hold_several_lesions(place: Path, tmp_path: Path) -> None:
    rows = [f"present/c{i}.npy,{5 + i + 6 * k},{7 + k},{3 + k},20" for i in range(4) for k in range(1 + i % 2)]
    (place / "lesions.csv").write_text("\n".join(["image,row_px,column_px,diameter_mm,contrast_hu", *rows, ""]))
    plan = ReadingPlan("froc")
    material = material_of_folder(place, plan, pixel_mm=0.5)
    assert [len(lesions) for lesions in material.cases.lesions] == [1, 2, 1, 2, 0, 0, 0, 0, 0]
    study = make_study(tmp_path / "study", material, plan)
    key = study.read_key()
    assert key.radius_mm == 2.0  # half of 4 mm
    assert {trial.case: len(trial.lesions) for trial in key.trials}["present/c1"] == 2


def test_kinds_of_signals_are_groups_where_there_are_a_few(place: Path) -> None:
    rows = [f"present/c{i}.npy,5,7,{(4, 8)[i // 2]},{(10, 10)[i // 2]}" for i in range(4)]
    (place / "lesions.csv").write_text("\n".join(["image,row_px,column_px,diameter_mm,contrast_hu", *rows, ""]))
    assert material_of_folder(place, RATING).cases.groups == ("4 mm, 10 HU",) * 2 + ("8 mm, 10 HU",) * 2 + ("",) * 5


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("image,row_px\npresent/c0.npy,5", "no column 'column_px' in its header"),
        ("image,row_px,column_px,size\npresent/c0.npy,5,5,2", "a column 'size'; give image,row_px"),
        ("image,row_px,column_px\nabsent/c0.npy,5,5", "line 2: no image 'absent/c0.npy' that holds a signal"),
        (
            "image,row_px,column_px\npresent/c0.npy,5,24",
            "line 2: column_px is 24; it must lie in the image, from 0 to 23",
        ),
        ("image,row_px,column_px\npresent/c0.npy,five,5", "line 2: row_px is 'five'; give a number in px"),
        ("image,row_px,column_px,diameter_mm\npresent/c0.npy,5,5,0", "diameter_mm is '0'; give a number in mm"),
        ("image,row_px,column_px\npresent/c0.npy,5", "line 2: 2 fields; the header has 3"),
        ("image;row_px;column_px\npresent/c0.npy;5;5", "there are semicolons between the columns"),
    ],
)
def test_a_table_of_lesions_that_does_not_fit_is_one_line(place: Path, table: str, message: str) -> None:
    (place / "lesions.csv").write_text(f"{table}\n", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        material_of_folder(place, RATING)


def test_places_are_told_by_one_table_alone(place: Path) -> None:
    _truth(place)
    (place / "lesions.csv").write_text("image,row_px,column_px\npresent/c0.npy,5,5\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"lesions\.csv and truth\.csv both tell places"):
        material_of_folder(place, RATING)


def test_a_sub_folder_is_a_background(place: Path) -> None:
    for arm in ("fbp", "net"):
        for of_class in ("present", "absent"):
            (place / arm / of_class / "p1").mkdir()
            (place / arm / of_class / "c0.npy").rename(place / arm / of_class / "p1" / "c0.npy")
    cases = material_of_folder(place, RATING).cases
    found = dict(zip(cases.names, cases.backgrounds, strict=True))
    assert (found["present/p1/c0"], found["absent/p1/c0"], found["present/c1"]) == ("p1", "p1", "")


def test_training_examples_lie_beside_the_arms(place: Path) -> None:
    assert material_of_folder(place, RATING).training is None
    assert "there is no training" in material_of_folder(place, RATING).notes[0]
    for of_class in ("present", "absent"):
        (place / "training" / of_class).mkdir(parents=True)
        for number in range(3):
            np.save(place / "training" / of_class / f"t{number}.npy", image(90 + number + 5 * (of_class == "absent")))
    training = material_of_folder(place, RATING).training
    assert training is not None
    assert training.present.tolist() == [True] * 3 + [False] * 3
    assert list(material_of_folder(place, RATING).cases.images) == ["fbp", "net"]
    forced = material_of_folder(place, ReadingPlan("2afc", n_training=2)).training
    assert forced is not None
    assert forced.present.sum() == 2
    none_of_four = material_of_folder(place, ReadingPlan("4afc", n_cases=4))
    assert none_of_four.training is not None
    for number in range(1, 3):
        (place / "training" / "absent" / f"t{number}.npy").unlink()
    none_of_four = material_of_folder(place, ReadingPlan("4afc", n_cases=4))
    assert none_of_four.training is None
    assert "3 examples with a signal and 1 without are too few for a trial of 4afc" in none_of_four.notes[0]
    assert not any(
        "training" in note for note in material_of_folder(place, ReadingPlan("4afc", n_cases=4, n_training=0)).notes
    )


def test_training_without_places_is_told_where_places_are_asked(place: Path) -> None:
    for of_class in ("present", "absent"):
        (place / "training" / of_class).mkdir(parents=True)
        np.save(place / "training" / of_class / "t0.npy", image(90 + (of_class == "absent")))
    assert not any("training" in note for note in material_of_folder(place, RATING).notes)
    assert "training cannot show where signals are" in material_of_folder(place, ReadingPlan("locate")).notes[0]
    (place / "training" / "lesions.csv").write_text("image,row_px,column_px\npresent/t0.npy,4,5\n", encoding="utf-8")
    material = material_of_folder(place, ReadingPlan("locate"))
    assert not material.notes
    assert material.training is not None
    assert [(one.row_px, one.column_px) for one in material.training.lesions[0]] == [(4.0, 5.0)]


def test_a_broken_file_is_named_with_its_folder(place: Path) -> None:
    file = place / "net" / "absent" / "c0.npy"
    file.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"net.absent: c0.npy"):
        material_of_folder(place, RATING)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.full((24, 24), np.nan), "c0.npy: 1 of 1 images hold values that are not finite"),
        (np.full((24, 24), 5.0), "the arm net: image 0 is 5 everywhere"),
        (np.arange(576.0).reshape(24, 24) * 100.0, r"values from 0 to 57500 HU; they must lie within -32768 to 32767"),
        (image(0) / 1000.0, "whole HU would lose what it shows: give HU"),
        (image(0, size=25), "images of one size|25 × 25"),
    ],
)  # fmt: skip
def test_an_image_that_cannot_be_shown_is_one_line(place: Path, value: NDArray[np.float64], message: str) -> None:
    np.save(place / "net" / "present" / "c0.npy", value.astype(np.float32))
    with pytest.raises(UserError, match=message):
        material_of_folder(place, RATING)


def test_images_larger_than_a_screen_are_refused(tmp_path: Path) -> None:
    for of_class in ("present", "absent"):
        (tmp_path / "fbp" / of_class).mkdir(parents=True)
        np.save(tmp_path / "fbp" / of_class / "all.npy", np.random.default_rng(0).normal(0, 9, (2, 2, 2049)))
    with pytest.raises(UserError, match="2 × 2049 pixels; a browser shows at most 2048 × 2048 at whole pixels: crop"):
        material_of_folder(tmp_path, RATING)


def _without_absent(place: Path) -> None:
    (place / "net" / "absent").rename(place / "net" / "elsewhere")


def _other_case(place: Path) -> None:
    (place / "net" / "present" / "c1.npy").rename(place / "net" / "present" / "c9.npy")


def _one_more(place: Path) -> None:
    np.save(place / "net" / "absent" / "c7.npy", image(3))


def _other_size(place: Path) -> None:
    for file in (place / "net").rglob("*.npy"):
        np.save(file, image(1, size=12))


def _empty(place: Path) -> None:
    for file in (place / "net" / "present").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_without_absent, "net has no folder absent: give DIR/ARM/present/"),
        (_other_case, "net has no present/c1, which fbp has"),
        (_one_more, "fbp has no absent/c7, which net has"),
        (_other_size, "fbp has images of 24 × 24 pixels and net of 12 × 12"),
        (_empty, "no image in it"),
    ],
)
def test_arms_that_do_not_agree_are_one_line(place: Path, damage: Callable[[Path], None], message: str) -> None:
    damage(place)
    with pytest.raises(UserError, match=message):
        material_of_folder(place, RATING)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("t/c0.npy,1", "t/c0.npy,0"), "signal_present of 'present/c0.npy' is not"),
        (lambda text: text.replace("present/c0.npy,1,5", "present/c0.npy,1,24"), "rows go from 0 to 23"),
        (lambda text: text.replace("absent/c4.npy,0,5,7,q4\n", ""), "1 of 9 images have no line"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_one_line(place: Path, change: Callable[[str], str], message: str) -> None:
    _truth(place, change)
    with pytest.raises(UserError, match=message):
        material_of_folder(place, RATING)


def test_what_a_design_lacks_is_one_line(place: Path, tmp_path: Path) -> None:
    def refused(plan: ReadingPlan, pixel_mm: float | None = None, arms: tuple[str, ...] = ()) -> str:
        with pytest.raises(UserError) as error:
            make_study(tmp_path / "study", material_of_folder(place, plan, arms, pixel_mm=pixel_mm), plan)
        assert not (tmp_path / "study").exists()
        return str(error.value)

    assert "locate needs the place of every signal, and 4 cases have none" in refused(ReadingPlan("locate"))
    _truth(place)
    assert "froc needs the size of a pixel, which the images do not tell: give --pixel-mm" in refused(
        ReadingPlan("froc")
    )
    assert "sizes are not known: give --radius-mm" in refused(ReadingPlan("froc"), 0.7)
    assert "no arm 'nix'; its arms are fbp, net" in refused(RATING, arms=("nix",))
    assert "too few for 5 trials of 2afc" in refused(ReadingPlan("2afc", n_cases=5))
    assert "too few for 2 trials of 4afc" in refused(ReadingPlan("4afc"))
    assert "--training needs examples" in refused(ReadingPlan("2afc", n_training=3))
    np.save(place / "fbp" / "absent" / "c0.npy", np.load(place / "fbp" / "present" / "c0.npy"))
    line = refused(RATING)
    assert "the arm fbp shows the same image with a signal (present/c0) and without (absent/c0)" in line


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"design": "3afc"}, "--design is '3afc'; give one of 2afc, 4afc"),
        ({"design": "2afc", "scale": 5}, "--scale is for ratings, and 2afc asks for none"),
        ({"design": "rating", "scale": 7}, "--scale is 7; give 5 or 101 points"),
        ({"n_cases": 1}, "--cases is 1; give at least 4"),
        ({"n_training": -1}, "--training is -1"),
        ({"break_every": -1}, "--break-every is -1"),
        ({"design": "locate", "radius_mm": 0.0}, "--radius-mm is 0"),
        ({"design": "rating", "radius_mm": 3.0}, "--radius-mm is for locate and froc"),
        ({"title": " "}, "--title is blank"),
        ({"question": ""}, "--question is blank"),
        ({"window_hu": (40.0, 0.0)}, "--window needs its centre and its width above 0"),
    ],
)
def test_a_plan_that_cannot_be_is_one_line(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ReadingPlan(**given)  # type: ignore[arg-type]
