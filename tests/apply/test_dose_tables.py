"""Tables of scans and of test statistics by dose: what is read, and one line for each mistake."""

import math

import numpy as np
import pytest

from taskct.apply.curves import CurvePlan, analyze_doses, read_dose_table
from taskct.apply.curves.curves import dose_text
from taskct.errors import UserError
from taskct.metrics.dose_areas import POOLED, auc_by_dose

SCORES = "reconstruction,dose,signal_present,score\n"


def written(tmp_path, text, name="table.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def scores(columns="", cells="", n=3):
    rows = [f"fbp,10,{cl},{cl + 0.1 * i:.2f}{cells.format(i=i)}" for cl in (1, 0) for i in range(n)]
    return SCORES.strip() + columns + "\n" + "\n".join(rows) + "\n"


def test_scans_are_read_with_their_paths_from_the_folder_of_the_table(tmp_path):
    text = (
        "reconstruction,dose,present,absent,diameter_mm,contrast_hu,mine\nfbp,10,a.npy,b.npy,3,14,x\ndl,5.5,c,,3,14,y\n"
    )
    table = read_dose_table(written(tmp_path, text))
    first, second = table.scans
    assert (first.reconstruction, first.dose, first.rod) == ("fbp", 10.0, "3 mm, 14 HU")
    assert (first.present, first.absent) == (tmp_path / "a.npy", tmp_path / "b.npy")
    assert second.absent is None
    assert table.sizes["3 mm, 14 HU"].contrast_hu == 14.0
    yaml = "scans:\n- {reconstruction: fbp, dose: 10, present: a.npy, absent: b.npy, diameter_mm: 3, contrast_hu: 14}\n"
    assert read_dose_table(written(tmp_path, yaml, "t.yaml")).scans[0] == first.__class__(
        1, *(getattr(first, k) for k in ("reconstruction", "dose", "rod", "present", "absent"))
    )


def test_test_statistics_are_read_and_paired_by_scan_or_by_order(tmp_path):
    table = read_dose_table(written(tmp_path, scores(",scan", ",s{i}")))
    assert table.readings[0].scans_present == ["s0", "s1", "s2"]
    assert table.readings[0].scans_absent == ["s0", "s1", "s2"]
    assert not table.notes
    by_order = read_dose_table(written(tmp_path, scores()))
    one = by_order.readings[0]
    assert one.t_present.tolist() == [1.0, 1.1, 1.2]
    assert one.scans_present == ["10 present 0", "10 present 1", "10 present 2"]
    assert "by the order of the lines" in by_order.notes[0]


MISTAKES = {
    "": "no column 'reconstruction'",
    "reconstruction,dose,present\n": "no lines",
    "reconstruction,dose\n": "no column 'present'",
    "reconstruction,dose,presnt,absent\n": "no column 'present'",
    "reconstruction,dose,present,absnt\nfbp,1,a,b\n": "absnt",
    "reconstruction,dose,present,absent\nfbp,0,a,b\n": "line 2: dose is '0'",
    "reconstruction,dose,present,absent\nfbp,nan,a,b\n": "line 2: dose is 'nan'",
    "reconstruction,dose,present,absent\nfbp,ten,a,b\n": "line 2: dose is 'ten'",
    "reconstruction,dose,present,absent\n,10,a,b\n": "line 2: reconstruction is ''",
    "reconstruction,dose,present,absent\nfbp,10,a\n": "line 2: 3 fields",
    "reconstruction,dose,present,absent\nfbp,10,a,b\nfbp,10,c,d\n": "stands on line 2 already",
    "reconstruction;dose;present;absent\nfbp;10;a;b\n": "semicolons",
    "reconstruction,dose,present,absent,rod\nfbp,10,a,b,all rods\n": "another name",
    "reconstruction,dose,present,contrast_hu\nfbp,10,a,0\n": "contrast_hu is '0'",
    "reconstruction,dose,present,rod,diameter_mm\nfbp,10,a,r,3\nfbp,20,a,r,4\n": "another diameter",
    "reconstruction,dose,present,byte_order\nfbp,10,a,middle\n": "byte_order is 'middle'; give little or big",
    "reconstruction,dose,present,slope\nfbp,10,a,0\n": "the slope is 0",
    SCORES + "fbp,10,1,nan\n": "score is 'nan'",
    SCORES + "fbp,10,2,1\n": "signal_present is '2'",
    SCORES + "fbp,10,1,1\nfbp,10,0,0\n": "give at least 2 of each",
    "reconstruction,dose,dose,present\n": "stands twice",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_one_line(tmp_path, text):
    with pytest.raises(UserError) as error:
        read_dose_table(written(tmp_path, text))
    assert MISTAKES[text] in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("- 1\n", "holds no settings"), ("scans: 3\n", "a list of entries"), ("scans:\n- {dose: [1]}\n", "no column")],
)
def test_yaml_that_is_no_list_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_dose_table(written(tmp_path, text, "t.yaml"))
    with pytest.raises(UserError, match="no such file"):
        read_dose_table(tmp_path / "none.csv")


def study(rng, doses=(10.0, 50.0, 100.0), rods=("r", "s"), n=40, gain=1.4):
    lines = [SCORES.strip() + ",scan,rod,diameter_mm,contrast_hu"]
    for dose in doses:
        for k, rod in enumerate(rods):
            for cl in (1, 0):
                common = rng.normal(size=n)
                for name, g in (("fbp", 1.0), ("dl", gain)):
                    t = np.sqrt(0.7) * common + np.sqrt(0.3) * rng.normal(size=n) + cl * 0.15 * g * np.sqrt(dose)
                    lines += [f"{name},{dose:g},{cl},{v:.6f},{cl}-{i},{rod},{3 + k},{14 - k}" for i, v in enumerate(t)]
    return "\n".join(lines) + "\n"


def test_curves_of_a_table_have_rods_their_mean_and_what_was_asked(tmp_path):
    table = read_dose_table(written(tmp_path, study(np.random.default_rng(0), n=400)))
    found = analyze_doses(auc_by_dose(table.readings), CurvePlan(margin=0.1), sizes=table.sizes)
    assert (found.reference, found.rivals) == ("fbp", ("dl",))
    assert found.rods == ["r", "s", POOLED]
    assert len(found.points) == 2 * 3 * 3
    assert len(found.equal) == 3 * 3
    assert len(found.tests) == 2 * 3
    content = found.as_dict()
    assert len(content["points"]) == 18
    last = [one for one in content["dose_at_equal_auc"] if one["rod"] == POOLED][-1]
    assert 40 < last["dose"] < 64  # 51 with endless scans; the interval of so many is about ±10
    for one in content["dose_at_equal_auc"]:
        for name in one["beyond"]:
            assert one[name] is None
    rows = found.equal_csv().splitlines()
    assert len(rows) == 10
    assert found.points_csv().count("\n") == 19


def test_unknown_names_and_numbers_out_of_range_are_one_line(tmp_path):
    table = read_dose_table(written(tmp_path, study(np.random.default_rng(0), n=5)))
    areas = auc_by_dose(table.readings)
    for plan, message in (
        (CurvePlan(reference="x"), "no reconstruction 'x'; there are fbp, dl"),
        (CurvePlan(rivals=("y",)), "no reconstruction 'y'"),
        (CurvePlan(rivals=("fbp",)), "is the reference"),
    ):
        with pytest.raises(UserError, match=message):
            analyze_doses(areas, plan)
    for change, message in (({"confidence": 95.0}, "0.95, not 95"), ({"margin": 2.0}, "margin is 2")):
        with pytest.raises(UserError, match=message):
            CurvePlan(**change)
    few = analyze_doses(areas)
    assert any("5 scans of a class" in note for note in few.notes)


def test_one_dose_has_points_and_says_why_it_has_no_dose_at_equal_auc(tmp_path):
    table = read_dose_table(written(tmp_path, study(np.random.default_rng(0), doses=(10.0,))))
    found = analyze_doses(auc_by_dose(table.readings))
    assert not found.equal
    assert any("needs two of each" in note for note in found.notes)
    assert math.isfinite(found.points[0].auc.value)


def test_doses_out_of_range_are_told_as_such(tmp_path):
    table = read_dose_table(written(tmp_path, study(np.random.default_rng(1), n=100, gain=0.5)))
    found = analyze_doses(auc_by_dose(table.readings))
    last = found.equal[-1]
    assert last.dose == math.inf
    assert dose_text(last.dose, last) == ">100"
