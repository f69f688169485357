"""`taskct observe` and `taskct mrmc`: what they print and write, and what they refuse."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import call, refused
from dicom_files import ct_slice, save
from taskct.io.ratings_files import read_imrmc, write_imrmc, write_ratings_csv
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.mrmc.ratings import Ratings

__all__ = ["call", "refused"]  # fixtures


def lesions(path, n, contrast_hu, seed):
    """A folder of `.npy` images of 16² pixels with a blob in noise."""
    path.mkdir()
    axis = np.arange(16) - 7.5
    blob = contrast_hu * np.exp(-(axis[:, None] ** 2 + axis**2) / 8.0)
    for i, noise in enumerate(np.random.default_rng(seed).normal(0, 20, (n, 16, 16))):
        np.save(path / f"{i:03d}.npy", (noise + blob).astype(np.float32))
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    return lesions(root / "lesion", 120, 12.0, seed=0), lesions(root / "plain", 120, 0.0, seed=1)


def reader_study(path, *, missing=False, write=write_imrmc):
    rng = np.random.default_rng(2)
    present = np.arange(60) < 30
    scores = (
        rng.normal(size=(2, 4, 60))
        + rng.normal(size=60)
        + 1.2 * present
        + 0.4 * present * np.array([1, 0])[:, None, None]
    )
    if missing:
        scores[1, 2, 5] = np.nan
    ratings = Ratings(scores, present, ("A", "B"), tuple("wxyz"), tuple(f"c{i}" for i in range(60)))
    write(path, ratings)
    return path


def test_observe_prints_json_with_every_observer(call, folders):
    present, absent = folders
    code, out, err = call(
        "observe", "--present", present, "--absent", absent, "--observers", "ho,cho-lg,npwe", "--json"
    )
    assert code == 0, err
    content = json.loads(out)
    assert list(content["observers"]) == ["ho", "cho-lg", "npwe"]
    for found in content["observers"].values():
        assert 0.0 <= found["ci_low"] <= found["auc"] <= found["ci_high"] <= 1.0
    assert content["train"] == content["test"] == {"present": 60, "absent": 60, "cases": None}
    assert "the eye takes 0.7 mm; give --pixel-mm" in err
    assert "note: ho: 30 training trials for 256 pixels" in err
    assert err.count("30 training trials") == 3  # of four sets, once for each observer


def test_observe_prints_a_table_and_a_picture_and_writes_a_folder(call, folders, tmp_path):
    present, absent = folders
    args = ("observe", "--present", present, "--absent", absent, "--observers", "npw,cho-lg", "--out", tmp_path / "o")
    nothing = lesions(tmp_path / "nothing", 120, 0.0, seed=5)  # there is nothing to find in the images compared with
    code, out, err = call(*args, "--versus", nothing, "--versus", absent, "--margin", 0.05)
    assert code == 0, err
    assert "paired by names of files" in out
    assert "Trained on 4 sets of 15 + 15 trials, tested on 60 + 60" in out
    said = [line for line in err.splitlines() if "in the template" in line]
    assert len(said) == 1, said  # whatever the number of trainings
    assert re.search(r"likewise in [2-8] of 8 trainings", said[0])
    assert "(TPF)" in out
    tables = out[: out.index("Intervals")].splitlines()
    assert max(map(len, tables)) <= 80, tables  # a terminal of 80 columns folds no line
    assert "if Gaussian: AUC" in out
    assert "npw: the images not inferior to those of --versus within 0.05: shown" in out
    assert "npw: the images equivalent to those of --versus within 0.05: not shown" in out
    assert "AUC of the curves:  npw 0." in out
    files = {file.name for file in (tmp_path / "o").iterdir()}
    assert files == {
        "observe.html",
        "observe.json",
        "roc.png",
        "scores.csv",
        "ratings_npw.imrmc",
        "ratings_cho-lg.imrmc",
    }
    content = json.loads((tmp_path / "o" / "observe.json").read_text())
    difference = content["observers"]["npw"]["difference"]
    assert difference["ci_low"] > 0.0
    with Image.open(tmp_path / "o" / "roc.png") as picture:
        assert picture.size[0] > 500
    rows = (tmp_path / "o" / "scores.csv").read_text().splitlines()
    assert rows[0] == "observer,images,training_set,trial,case,signal_present,test_statistic"
    assert len(rows) == 1 + 2 * 2 * 4 * 120  # observers, sets of images, training sets
    ratings = read_imrmc(tmp_path / "o" / "ratings_npw.imrmc")
    assert ratings.modalities == ("images", "versus")
    assert not any(".npy" in case for case in ratings.cases)  # a file's name may name a patient


def test_observe_with_a_truth_table_and_sites(call, folders, tmp_path):
    stack = np.stack([np.load(file) for folder in folders for file in sorted(folder.iterdir())])
    np.save(tmp_path / "all.npy", stack)
    lines = [f"{i},{int(i < 120)},8,8,{i // 4}" for i in range(240)]
    truth = tmp_path / "truth.csv"
    truth.write_text("\n".join(["image,signal_present,row_px,column_px,case", *lines]))
    args = ("observe", tmp_path / "all.npy", "--truth", truth, "--observers", "npw", "--json")
    code, out, err = call(*args, "--mode", "scanning", "--window-px", 7, "--radius-px", 3)
    assert code == 0, err
    content = json.loads(out)
    assert content["test"]["cases"] == 30
    assert content["radius_px"] == 3
    found = content["observers"]["npw"]
    assert found["method"].startswith("clustered")
    assert found["lroc_area"]["value"] <= found["auc"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "give either --present and --absent, or IMAGES and --truth"),
        (("--present", "P"), "give either"),
        (("--present", "P", "--absent", "A", "--observers", "ho,hotteling"), "unknown observer 'hotteling'"),
        (("--present", "P", "--absent", "A", "--observers", ","), "the observers are none"),
        (("--present", "P", "--absent", "nowhere"), "nowhere: no such file or folder"),
        (("P", "--truth", "nowhere.csv"), "nowhere.csv: no such file; give a CSV table"),
        (("--present", "P", "--absent", "A", "--versus", "P"), "--versus is given once: give it twice"),
        (("--present", "P", "--absent", "A", "--mode", "centred"), "needs the site of every image"),
        (("--present", "P", "--absent", "A", "--train-share", "1.5"), "train_share is 1.5"),
        (("--present", "P", "--absent", "A", "--versus", "P", "--versus", "A", "--margin", "2"), "the margin is 2"),
        (("--present", "P", "--absent", "A", "--confidence", "95"), "confidence is 95"),
        (("--present", "P", "--absent", "A", "--pixel-mm", "-1"), "pixel_mm is -1; it must be 0.01 to 10 mm"),
        (
            ("--present", "P", "--absent", "A", "--pixel-mm", "1e9"),
            r"pixel_mm is 1e\+09; it must be 0.01 to 10 mm",
        ),
        (("--present", "P", "--absent", "A", "--viewing-distance-mm", "1e9"), "must be 50 to 10000 mm"),
        (("--present", "P", "--absent", "A", "--magnification", "0"), "must be 0.05 to 50"),
        (("--present", "P", "--absent", "A", "--internal-noise-hu", "nan"), "must be 0 to 5000 HU"),
        (("--present", "P", "--absent", "A", "--internal-noise", "inf"), "must be 0 to 100"),
        (("--present", "P", "--absent", "A", "--confidence", "1e-9"), "must lie between 0.5 and 0.9999"),
        (("--present", "P", "--absent", "A", "--pair-by", "name"), "give --versus, or leave it out"),
        (("--present", "P", "--absent", "A", "--signal", "P"), "holds 120 images: give the mean signal as one"),
        (
            (
                "--present",
                "P",
                "--absent",
                "A",
                "--site",
                "7,7",
                "--mode",
                "scanning",
                "--window-px",
                "5",
                "--radius-px",
                "30",
            ),
            "30 pixels, wider than the images; it must be above 0 and at most 23 pixels",
        ),
        (("--present", "P", "--absent", "A", "--out", "P"), "exists: choose another --out"),
    ],
)
def test_observe_refuses_in_one_line(refused, folders, tmp_path, monkeypatch, args, message):
    monkeypatch.chdir(tmp_path)
    named = {"P": folders[0], "A": folders[1]}
    line = refused("observe", *(named.get(arg, arg) for arg in args))
    assert re.search(message, line), line


def test_observe_refuses_images_of_two_sizes_and_constant_ones(refused, folders, tmp_path):
    np.save(tmp_path / "small.npy", np.zeros((9, 8, 8)))
    line = refused("observe", "--present", folders[0], "--absent", tmp_path / "small.npy")
    assert "of 16 × 16 pixels" in line
    assert "8 × 8: give images of one size" in line
    np.save(tmp_path / "flat.npy", np.ones((20, 16, 16)))
    line = refused(
        "observe", "--present", tmp_path / "flat.npy", "--absent", tmp_path / "flat.npy", "--observers", "ho"
    )
    assert "are the same to the last bit" in line


def test_versus_must_be_the_same_trials(call, refused, folders, tmp_path):
    present, absent = folders
    more = lesions(tmp_path / "more", 121, 12.0, seed=3)
    fewer = lesions(tmp_path / "fewer", 119, 0.0, seed=4)
    args = ("observe", "--present", present, "--absent", absent, "--observers", "npw")
    assert "not the same trials" in refused(*args, "--versus", more, "--versus", fewer)


def test_the_same_images_under_other_names_are_refused_or_paired_by_a_table(call, refused, folders, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for folder, prefix in zip(folders, ("lesion", "plain"), strict=True):
        for file in sorted(folder.iterdir()):
            shutil.copy(file, images / f"{prefix}{file.name}")
    names = sorted(file.name for file in images.iterdir())
    same, renamed = tmp_path / "same", tmp_path / "renamed"
    new_names = dict(
        zip(names, np.random.default_rng(0).permutation([f"{i}.npy" for i in range(len(names))]), strict=True)
    )
    for folder in (same, renamed):
        folder.mkdir()
    for name in names:
        noisier = np.load(images / name) + np.random.default_rng(len(name)).normal(0, 10, (16, 16))
        np.save(same / name, noisier)
        np.save(renamed / new_names[name], noisier)
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    lines = [f"{name},{int(name.startswith('lesion'))}" for name in names]
    old.write_text("\n".join(["image,signal_present", *lines]))
    new.write_text("\n".join(["image,signal_present,versus", *(f"{o},{new_names[o.split(',')[0]]}" for o in lines)]))
    args = ("observe", images, "--observers", "npw", "--json")
    wanted, found = (
        json.loads(call(*args, "--truth", table, "--versus", folder)[1])
        for table, folder in ((old, same), (new, renamed))
    )
    assert found["observers"] == wanted["observers"]
    assert found["paired_by"] == "the truth table"
    assert "no image" in refused(*args, "--truth", old, "--versus", renamed)
    args = ("observe", "--present", folders[0], "--absent", folders[1], "--observers", "npw")
    halves = []
    for prefix in ("lesion", "plain"):
        half = tmp_path / f"renamed {prefix}"
        half.mkdir()
        for name in names:
            if name.startswith(prefix):
                shutil.copy(renamed / new_names[name], half)
        halves += ["--versus", half]
    assert "nothing tells which of the 120" in refused(*args, *halves)
    code, out, _ = call(*args, *halves, "--pair-by", "name")
    assert code == 0
    assert "the order of the files' names" in out


def test_mrmc_json_has_the_agreed_keys_and_the_numbers_of_the_analysis(call, tmp_path):
    path = reader_study(tmp_path / "study.imrmc")
    code, out, err = call("mrmc", path, "--json")
    assert code == 0, err
    content = json.loads(out)
    assert {"modalities", "differences", "readers"} <= set(content)
    assert list(content["modalities"]) == ["A", "B"]
    assert list(content["differences"]) == ["A-B"]
    assert {"auc", "variance", "variance_mle", "df", "ci_low", "ci_high", "components"} <= set(
        content["modalities"]["A"]
    )
    wanted = {"auc", "variance", "variance_mle", "df_bdg", "ci_low", "ci_high", "p_value", "components"}
    assert wanted <= set(content["differences"]["A-B"])
    found = analyze(read_imrmc(path))
    assert content["differences"]["A-B"]["p_value"] == pytest.approx(found.differences["A-B"].p_value)
    assert content["modalities"]["B"]["variance"] == pytest.approx(found.modalities["B"].variance)
    assert set(content["readers"]) == set("wxyz")


def test_mrmc_prints_tables_and_sizes_a_study(call, tmp_path):
    path = reader_study(tmp_path / "study.csv", write=write_ratings_csv)
    code, out, err = call("mrmc", path, "--detect", 0.05, "--power", 0.8)
    assert code == 0, err
    assert "4 readers, 30 cases with the signal, 30 without; fully crossed" in out
    assert "cases to detect 0.05 with power 0.8" in out
    content = json.loads(call("mrmc", path, "--detect", 0.05, "--margin", 0.3, "--json")[1])
    difference = content["differences"]["A-B"]
    assert difference["non-inferiority"]["ci_low"] == pytest.approx(difference["ci_low"])  # the same interval decides
    assert difference["non-inferiority"]["shown"] == (difference["ci_low"] > -0.3)
    assert difference["equivalence"]["shown"] == (difference["ci_low"] > -0.3 and difference["ci_high"] < 0.3)
    assert difference["p_holm"] == pytest.approx(difference["p_value_interval"])  # a single comparison
    assert content["obuchowski_rockette"]["random_readers_random_cases"]["df_numerator"] == 1
    sizes = content["sizes"]["A-B"]
    assert all(one["power"] >= 0.8 for one in sizes)
    assert sizes[0]["present"] >= sizes[-1]["present"]  # more readers, fewer cases


def test_mrmc_exports_ratings_that_say_the_same(call, refused, tmp_path):
    path = reader_study(tmp_path / "study.imrmc", missing=True)
    wanted = read_imrmc(path)
    assert call("mrmc", path, "--export", tmp_path / "again.csv")[0] == 0
    assert call("mrmc", tmp_path / "again.csv", "--export", tmp_path / "again.imrmc")[0] == 0
    again = read_imrmc(tmp_path / "again.imrmc")
    np.testing.assert_array_equal(again.scores, wanted.scores)
    np.testing.assert_array_equal(again.signal_present, wanted.signal_present)
    assert "exists: choose another file" in refused("mrmc", path, "--export", tmp_path / "again.csv")
    assert "ends in .imrmc or .csv" in refused("mrmc", path, "--export", tmp_path / "again.txt")


def test_mrmc_takes_missing_ratings_and_says_so(call, tmp_path):
    code, out, err = call("mrmc", reader_study(tmp_path / "study.imrmc", missing=True))
    assert code == 0, err
    assert "not fully crossed" in out
    assert "note: " in err


def test_mrmc_refuses_in_one_line(refused, tmp_path):
    path = reader_study(tmp_path / "study.imrmc")
    assert "no such file" in refused("mrmc", tmp_path / "nowhere.imrmc")
    assert "(0.95, not 95)" in refused("mrmc", path, "--confidence", 95)
    assert "--margin is -1; it must lie between 0 and 1" in refused("mrmc", path, "--margin", -1)
    assert "--detect is 0; " in refused("mrmc", path, "--detect", 0)
    assert "--power is 2; it must lie between 0.05 and 1" in refused("mrmc", path, "--detect", 0.1, "--power", 2)
    assert "--observer is for a run folder" in refused("mrmc", path, "--observer", "ho")
    assert "holds no scores.csv" in refused("mrmc", tmp_path, "--observer", "ho")
    constant = read_imrmc(path)
    constant.scores[1] = 3.0
    write_imrmc(tmp_path / "constant.imrmc", constant)
    assert "every score in modality 'B' is 3" in refused("mrmc", tmp_path / "constant.imrmc")
    text = path.read_text().splitlines()
    row = next(i for i, line in enumerate(text) if line.startswith("w,"))
    text[row] = "w,c0,A"
    path.write_text("\n".join(text))
    line = refused("mrmc", path)
    assert f"line {row + 1}" in line


def scans(folder, n_scans, *, signal, seed, of):
    """A DICOM folder a scan, three slices of 8² pixels each; what a scan's slices share is most of their noise."""
    rng = np.random.default_rng(seed)
    for scan in range(n_scans):
        shared = rng.normal(0.0, 20.0, (8, 8))
        for number in range(3):
            hu = shared + rng.normal(0.0, 10.0, (8, 8))
            hu[3:5, 3:5] += signal
            dataset = ct_slice(z=2.5 * number, stored=(hu + 1024).round().astype(np.uint16), Rows=8, Columns=8)
            dataset.PixelSpacing = [0.7, 0.7]
            dataset.SeriesInstanceUID = f"1.2.{of}.{scan + 1}"
            dataset.StudyInstanceUID, dataset.AcquisitionNumber = f"1.9.{of}.{scan // 2 + 1}", scan % 2 + 1
            save(folder / f"scan{scan:02d}" / f"{number}.dcm", dataset)
    return folder


def test_slices_of_one_scan_are_one_case(call, refused, tmp_path):
    present, absent = (
        scans(tmp_path / name, 24, signal=signal, seed=of, of=of)
        for of, (name, signal) in enumerate((("p", 20), ("a", 0)), 1)
    )
    args = ("observe", "--present", present, "--absent", absent, "--observers", "npw", "--training-sets", 1, "--json")
    by_series, by_acquisition, by_file = (
        json.loads(call(*args, *more)[1]) for more in ((), ("--case-from", "acquisition"), ("--case-from", "file"))
    )
    assert by_series["cases"] == "a series is a case"
    assert by_series["train"] == by_series["test"] == {"present": 36, "absent": 36, "cases": 24}
    assert by_acquisition["test"]["cases"] == 24  # two acquisitions of a study are two
    assert by_file["test"]["cases"] is None
    # Slices that share most of their noise are hardly more than one: the interval of 36 + 36 trials is too narrow.
    width = [one["observers"]["npw"]["ci_high"] - one["observers"]["npw"]["ci_low"] for one in (by_series, by_file)]
    assert width[0] > 1.2 * width[1]
    line = refused("observe", "--present", present / "scan00", "--absent", absent / "scan00", "--observers", "npw")
    assert "3 images with the signal are of 1 case(s), since a series is a case" in line
    assert "--case-from file" in line


def test_scores_say_the_case_and_the_place(call, folders, tmp_path):
    present, absent = folders
    args = ("observe", "--present", present, "--absent", absent, "--observers", "npw", "--site", "7.5,7.5")
    code, _, err = call(*args, "--mode", "scanning", "--window-px", 6, "--radius-px", 2, "--out", tmp_path / "o")
    assert code == 0, err
    with (tmp_path / "o" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    content = json.loads((tmp_path / "o" / "observe.json").read_text())
    first = [row for row in rows if row["training_set"] == "1" and row["signal_present"] == "1"]
    place = np.array([[float(row["row_px"]), float(row["column_px"])] for row in first])
    located = np.mean(np.hypot(*(place - 7.5).T) <= 2.0)
    assert content["observers"]["npw"]["located"]["value"] == pytest.approx(located)
    assert all(row["case"] == row["trial"] for row in rows)


def test_a_site_is_in_the_image(refused, folders):
    args = ("observe", "--present", folders[0], "--absent", folders[1], "--mode", "centred", "--window-px", 4, "--site")
    assert "--site is 16,3; it must lie in the image: rows 0 to 15" in refused(*args, "16,3")
    assert "give the row and the column" in refused(*args, "3")
    assert "must lie in the image" in refused(*args, "nan,3")


LCD_CT = Path(__file__).parents[3] / "shared" / "data" / "lcd_ct_small"


@pytest.mark.skipif(not LCD_CT.is_dir(), reason="the low-contrast phantom's ten repeats are not here")
def test_ten_repeats_of_a_phantom_prove_nothing(call, tmp_path):
    # The headers of these files are wrong: see the README beside them. A rod of 10 mm and 3 HU, 20 × 20 pixels.
    names = []
    for kind, words, offset in (("DL_denoised", ">u2", 32768 + 1000), ("fbp", "<i2", 1000)):
        for of_class in ("signal_present", "signal_absent"):
            files = sorted((LCD_CT / kind / "dose_100" / of_class).glob("*.raw"))
            stack = np.stack([np.fromfile(file, words).reshape(256, 256)[150:170, 85:105] for file in files])
            names.append(tmp_path / f"{kind}_{of_class}.npy")
            np.save(names[-1], stack.astype(np.float32) - offset)
    args = ("--present", names[0], "--absent", names[1], "--versus", names[2], "--versus", names[3], "--margin", 0.05)
    code, out, err = call("observe", *args, "--train-share", 0.7, "--observers", "npwe", "--json")
    assert code == 0, err
    content = json.loads(out)
    found = content["observers"]["npwe"]
    assert content["test"] == {"present": 3, "absent": 3, "cases": None}
    difference = found["difference"]
    # DeLong's formula gives 0.778 [0.291, 1.265] and p = 0.0017 from these six images.
    assert difference["delta_auc"] == pytest.approx(7 / 9)
    assert difference["ci_high"] == 1.0
    assert difference["p_value"] is None
    assert difference["p_holm"] is None
    assert "equivalence" not in found
    assert "no p: 3 + 3 test trials" in err
    assert content["paired_by"] == "numbers in the file"


def few_repeats(tmp_path, n=10, contrast_hu=12.0):
    return lesions(tmp_path / "rod", n, contrast_hu, seed=20), lesions(tmp_path / "water", n, 0.0, seed=21)


def test_ten_repeats_are_cross_validated_with_channels_from_the_command_line(call, tmp_path):
    present, absent = few_repeats(tmp_path)
    args = ("observe", "--present", present, "--absent", absent, "--observers", "cho-lg,npw", "--channels", 4)
    code, out, err = call(*args, "--channel", "width_mm=3", "--pixel-mm", 0.5, "--json")
    assert code == 0, err
    content = json.loads(out)
    assert content["cross_validated"] is True
    assert content["channels"] == {"cho-lg": {"n_channels": 4, "width_px": 6.0}}
    assert content["test"] == {"present": 10, "absent": 10, "cases": None}
    for found in content["observers"].values():
        assert found["method"].startswith("cross-validated, one case of each class left out at a time")
        assert 0.0 <= found["ci_low"] <= found["auc"] <= found["ci_high"] <= 1.0
        assert found["ci_high"] - found["ci_low"] > 0.1
    assert content["observers"]["cho-lg"]["gaussian_auc"]["ci_low"] >= 0.5
    code, out, err = call(*args, "--cross-validate", 5, "--repeats", 2)
    assert code == 0, err
    assert "a fifth of the cases left out at a time, 2 times" in " ".join(out.split())
    assert "Cross-validated, 10 + 10 trials" in out


def test_several_rivals_are_compared_at_once(call, tmp_path):
    present, absent = few_repeats(tmp_path, 12)
    noisier, weaker = tmp_path / "noisier", tmp_path / "weaker"
    for folder, noise in ((noisier, 15.0), (weaker, 60.0)):
        rng = np.random.default_rng(int(noise))
        for part in (present, absent):
            (folder / part.name).mkdir(parents=True)
            for file in sorted(part.iterdir()):
                image = np.load(file)
                np.save(folder / part.name / file.name, image + rng.normal(0, noise, image.shape).astype(np.float32))
    code, out, err = call(
        *("observe", "--present", present, "--absent", absent, "--observers", "cho-lg", "--channels", 3),
        *("--versus", f"half dose={noisier / 'rod'},{noisier / 'water'}"),
        *("--versus", weaker / "rod", "--versus", weaker / "water", "--margin", 0.1, "--out", tmp_path / "found"),
    )
    assert code == 0, err
    assert "Against half dose" in out
    assert "Against versus 1" in out
    content = json.loads((tmp_path / "found" / "observe.json").read_text())
    rivals = content["observers"]["cho-lg"]["rivals"]
    assert list(rivals) == ["versus 1", "half dose"]
    p_values = [one["difference"]["p_value"] for one in rivals.values()]
    assert [one["difference"]["p_holm"] for one in rivals.values()] == pytest.approx(
        [min(1.0, 2 * min(p_values)) if p == min(p_values) else max(p, 2 * min(p_values)) for p in p_values]
    )
    assert "non-inferiority" in rivals["half dose"]
    ratings = read_imrmc(tmp_path / "found" / "ratings_cho-lg.imrmc")
    assert ratings.modalities == ("images", "versus 1", "half dose")
    page = (tmp_path / "found" / "observe.html").read_text()
    assert "half dose" in page
    assert "were cross-validated on 12 signal-present" in page


def test_a_pilot_says_how_many_scans_an_interval_takes(call, tmp_path):
    present, absent = few_repeats(tmp_path)
    code, out, err = call(
        *("observe", "--present", present, "--absent", absent, "--observers", "cho-lg", "--channels", 3),
        *("--plan", 0.1, "--out", tmp_path / "found"),
    )
    assert code == 0, err
    content = json.loads((tmp_path / "found" / "observe.json").read_text())["observers"]["cho-lg"]["scans_needed"]
    assert content["auc"]["low"] <= content["auc"]["n_cases"] <= content["auc"]["high"]
    assert f"takes {content['auc']['n_cases']} scans of each class" in " ".join(out.split())
    widths = [row["width"] for row in content["limit"]["table"]]
    assert widths == sorted(widths, reverse=True)
    assert "Scans needed" in (tmp_path / "found" / "observe.html").read_text()


def test_a_pilot_that_is_too_easy_plans_no_difference(call, tmp_path):
    """With every comparison right in both sets the difference seems known to 0.001."""
    rng = np.random.default_rng(3)
    paths = []
    for name in ("new", "old"):
        for kind, level in (("rods", 50.0), ("water", 0.0)):
            images = rng.normal(0.0, 10.0, (12, 12, 12))
            images[:, 4:8, 4:8] += level
            paths.append(tmp_path / f"{name}-{kind}.npy")
            np.save(paths[-1], images.astype(np.float32))
    code, _, err = call(
        *("observe", "--present", paths[0], "--absent", paths[1], "--versus", f"old={paths[2]},{paths[3]}"),
        *("--pair-by", "name", "--observers", "cho-lg", "--channels", 3, "--plan", 0.1, "--out", tmp_path / "found"),
    )
    assert code == 0, err
    assert "no number of scans is told for the difference from old" in " ".join(err.split())
    planned = json.loads((tmp_path / "found" / "observe.json").read_text())["observers"]["cho-lg"]["scans_needed"]
    assert "difference" not in planned
    assert min(row["n_cases"] for row in planned["auc"]["table"]) >= 10
    page = (tmp_path / "found" / "observe.html").read_text()
    assert "of each trial&#39;s mean test statistic, over the observers that were trained without it" in page
    assert "first training set" not in page
    assert "A numerical observer (cho-lg" in page
    assert "cho-lg against old" in page


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--channels", 0), "n_channels is 0; it must be a whole number of at least 1"),
        (("--observers", "ho", "--channels", 5), "--channels is for cho-lg, cho-sdog, .* none of these is observed"),
        (("--channel", "width=3"), "--channel width=3: give NAME=VALUE, with a name of n_channels, width_px"),
        (("--channel", "width_px=x"), "--channel width_px=x: give a number"),
        (("--channel", "width_px=3", "--channel", "width_mm=2"), "both width_px and width_mm"),
        (("--channel", "width_mm=2"), "width_mm needs the pixel size"),
        (("--channel", "n_orientations=4"), "--channel n_orientations is for cho-gabor"),
        (("--cross-validate", "all"), "--cross-validate is 'all'; give loo, or a number of folds"),
        (("--cross-validate", "11"), "11 folds; these cases allow 3 to 10"),
        (("--cross-validate", "0"), "0 folds; these cases allow 3 to 10"),
        (("--cross-validate", "loo", "--train-share", "0.7"), "--train-share and cross-validation exclude one another"),
        (("--repeats", "2", "--training-sets", "3"), "--training-sets and cross-validation exclude one another"),
        (("--cross-validate", "loo", "--learning-curve"), "a learning curve and cross-validation exclude one another"),
        (("--plan", "0"), "the width to plan for is 0"),
        (("--versus", "a=P,A,P"), r"--versus a has 3 path\(s\): give it as a=PRESENT,ABSENT"),
        (("--versus", "a=P,A", "--versus", "a=P,A"), "--versus a: the name is taken"),
        (("--byte-order", "middle"), "the byte order is 'middle': give little or big"),
        (("--byte-order", "big", "--byte-order", "big"), r"2 ways to read words for 1 set\(s\) of images"),
    ],
)
def test_wrong_channels_folds_and_rivals_are_one_line(refused, tmp_path, args, message):
    present, absent = few_repeats(tmp_path)
    named = [str(arg).replace("P,A", f"{present},{absent}").replace(",P", f",{present}") for arg in args]
    observers = () if "--observers" in args else ("--observers", "cho-lg")
    line = refused("observe", "--present", present, "--absent", absent, *observers, *named)
    assert re.search(message, line), line
