"""Tables of marks: both forms, what goes round, and every fault with its line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search_model import SearchModel
from taskct.errors import UserError
from taskct.io.marks_files import is_marks, read_marks, write_marks
from taskct.metrics.froc import FigureOfMerit, figures_of_merit
from taskct.metrics.marks import NO_LESION

SCORED = """reader,case,modality,lesion,rating,weight
truth,sick,,left,,3
truth,sick,,right,,1
truth,ill,,only,,
truth,well,,,,
truth,fine,,,,
ann,sick,FBP,left,4,
ann,sick,FBP,,2,
ann,ill,FBP,,,
ann,well,FBP,,1.5,
ann,fine,FBP,,,
"""
PLACED = """reader,case,modality,row_px,column_px,radius_px,rating
-1,sick,,10,10,3,
-1,sick,,30,30,3,
-1,well,,,,,
ann,sick,FBP,11,11,,4
ann,sick,FBP,20,20,,2
ann,well,FBP,5,5,,1
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "marks.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_marks_that_name_lesions(tmp_path: Path) -> None:
    path = written(tmp_path, SCORED)
    assert is_marks(path)
    study = read_marks(path)
    assert (study.modalities, study.readers, study.cases) == (("FBP",), ("ann",), ("sick", "ill", "well", "fine"))
    assert study.lesion_weight.tolist() == [0.75, 0.25, 1.0]
    assert study.mark_at.tolist() == [[0, 0, 0, 0], [0, 0, 0, NO_LESION], [0, 0, 2, NO_LESION]]
    assert study.mark_rating.tolist() == [4.0, 2.0, 1.5]
    assert study.notes == ()


def test_marks_at_places(tmp_path: Path) -> None:
    path = written(tmp_path, PLACED)
    assert is_marks(path)
    study = read_marks(path)
    assert study.mark_at[:, 3].tolist() == [0, NO_LESION, NO_LESION]
    assert len(study.notes) == 1
    assert "no line says that a case was read without a mark" in study.notes[0]


def test_who_read_what(tmp_path: Path) -> None:
    both = SCORED + "bob,sick,FBP,,1,\n"
    assert read_marks(written(tmp_path, both)).read[0].tolist() == [[True] * 4, [True, False, False, False]]
    all_read = "".join(line for line in both.splitlines(keepends=True) if not line.endswith(",FBP,,,\n"))
    study = read_marks(written(tmp_path, all_read))
    assert study.read.all()
    assert len(study.cases) == 4
    lost = SCORED.replace("ann,fine,FBP,,,\n", "")
    assert read_marks(written(tmp_path, lost)).notes == ("left out, since nobody read them: 1 cases",)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    study = SearchModel((1.5, 1.0)).simulate(np.random.default_rng(1), 3, 6, 5)
    names = ("=ann", "bob", "-cy")
    study = replace(study, readers=names)
    path = tmp_path / "marks.csv"
    write_marks(path, study)
    again = read_marks(path)
    assert set(again.readers) == set(names)
    order = [again.readers.index(name) for name in names]
    cases = [again.cases.index(name) for name in study.cases]
    assert again.highest_false()[:, order][:, :, cases].tolist() == study.highest_false().tolist()
    assert sorted(again.mark_rating) == sorted(study.mark_rating)
    for name in ("wafroc", "afroc"):
        figures = [figures_of_merit(one, FigureOfMerit(name)).values for one in (again, study)]
        assert figures[0][:, order] == pytest.approx(figures[1])


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("reader,case,modality,score\n", "must hold 'lesion' once"),
        ("reader;case;modality;lesion;rating\n", "semicolons between the columns"),
        (SCORED.replace("left,4,", "left,x,"), "line 7: rating is 'x'"),
        (SCORED.replace("left,4,", "left,,"), "line 7: rating is ''"),
        (SCORED.replace("left,4,", "up,4,"), "names the lesion 'up' of case 'sick'"),
        (SCORED.replace(",,3\n", ",,0\n"), "line 2: the weight is 0"),
        (SCORED.replace("right", "left"), "stands twice"),
        (SCORED + "truth,well,,x,,\n", "line 12: the truth of case 'well' stands on line 5 already"),
        (SCORED + "truth,sick,,,,\n", "line 12: the truth of case 'sick' stands on line 2 already"),
        (SCORED + "ann,other,FBP,,1,\n", "line 12: case 'other' has no truth"),
        (SCORED + "ann,sick,,left,1,\n", "line 12: the modality is empty"),
        (SCORED + ",sick,FBP,left,1,\n", "line 12: the reader is empty"),
        (SCORED + "ann,,FBP,left,1,\n", "line 12: the case is empty"),
        (SCORED + "ann,sick,FBP\n", "line 12: 3 fields; the header has 6"),
        ("".join(SCORED.splitlines(keepends=True)[:6]), "no reader's line in it"),
        (PLACED.replace("-1,sick,,10,10,3,", "-1,sick,,10,10,,"), "line 2: radius_px is ''"),
        (PLACED.replace("10,10,3", "10,10,-3"), "line 2: the radius is -3"),
        (PLACED.replace("11,11,,4", "11,,,4"), "line 5: column_px is ''"),
        (PLACED.replace("11,11,,4", "11,11,3,4"), "line 5: a radius belongs to a lesion"),
        (PLACED.replace("radius_px", "radius"), "must hold 'radius_px' once"),
    ],
)
def test_faults_are_one_line(tmp_path: Path, text: str, match: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError, match=match) as caught:
        read_marks(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_are_no_marks(tmp_path: Path) -> None:
    assert not is_marks(written(tmp_path, "reader,case,modality,signal_present,score\n"))
    assert not is_marks(written(tmp_path, '"'))
    assert not is_marks(tmp_path / "none.csv")
    assert not is_marks(tmp_path)


def test_names_that_cannot_be_written(tmp_path: Path) -> None:
    study = SearchModel((1.5,)).simulate(np.random.default_rng(1), 2, 3, 3)
    for names, match in ((("a,b", "c"), "cannot be written: a name"), (("Truth", "c"), "stands for the truth")):
        with pytest.raises(UserError, match=match):
            write_marks(tmp_path / "marks.csv", replace(study, readers=names))
    with pytest.raises(UserError, match="cannot be written"):
        write_marks(tmp_path / "none" / "marks.csv", study)
