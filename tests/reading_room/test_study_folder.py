"""The folder of a reading study: whole or not at all, its truth and tokens apart, every change noticed."""

import json
import stat
from pathlib import Path

import numpy as np
import pytest

from reading_studies import make_disc_study
from taskct.errors import UserError
from taskct.reading_room.folder import PRIVATE, StudyFolder
from taskct.reading_room.protocol import DESIGNS, Design


@pytest.mark.parametrize("design", DESIGNS)
def test_a_study_is_read_as_it_was_made(tmp_path: Path, design: Design) -> None:
    made = make_disc_study(tmp_path / "study", design, readers=("Ann", "Bo"), arms=("a", "b", "c"), n_cases=8)
    p = made.protocol
    assert (p.n_trials, p.n_training, set(made.orders)) == (24, 2, {"Ann", "Bo"})
    key = made.read_key()
    again = StudyFolder.open(tmp_path / "study")
    assert (again.protocol, again.orders, again.links, again.digest) == (p, made.orders, made.links, made.digest)
    # The images of a trial with a signal are the ones that are bright where it lies.
    for trial in key.trials:
        for slot, row in enumerate(trial.images):
            has_signal = slot == trial.present
            lesion = trial.lesions[0] if trial.lesions else None
            if lesion is not None:
                r, c = round(lesion.row_px), round(lesion.column_px)
                # 9 pixels of noise 20 HU about 50 HU: 4 standard errors about their means, in 24 trials 0.2 %
                mean = again.images[row, r - 1 : r + 2, c - 1 : c + 2].mean()
                assert abs(mean - 50.0 - 15.0 * has_signal) < 4 * 20 / 3 + 1
    assert {trial.arm for trial in key.trials} == {"a", "b", "c"}


def test_the_owner_alone_may_open_it(tmp_path: Path) -> None:
    study = make_disc_study(tmp_path / "study")
    assert stat.S_IMODE(study.path.stat().st_mode) == 0o700
    assert {stat.S_IMODE((study.path / name).stat().st_mode) for name in PRIVATE} == {0o600}


def test_tokens_are_long_and_differ(tmp_path: Path) -> None:
    one, other = make_disc_study(tmp_path / "one"), make_disc_study(tmp_path / "other")
    tokens = [t for study in (one, other) for t in (*study.links.readers.values(), study.links.organiser)]
    assert len(set(tokens)) == 4  # the seed, which is the same, has no part in them
    assert min(len(token) for token in tokens) == 32  # 24 bytes in base64


@pytest.mark.parametrize(
    "name", ["protocol.json", "images.npy", "order.json", "training.json", "training.npy", "links.json", "key.json"]
)
def test_a_changed_file_is_noticed(tmp_path: Path, name: str) -> None:
    study = make_disc_study(tmp_path / "study")
    with (study.path / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(UserError, match=f"{name} has changed since the study was made"):
        StudyFolder.open(study.path)


def test_a_missing_file_is_noticed_but_the_truth_may_be_away(tmp_path: Path) -> None:
    study = make_disc_study(tmp_path / "study")
    (study.path / "key.json").rename(tmp_path / "key.json")
    away = StudyFolder.open(study.path)
    with pytest.raises(UserError, match=r"key\.json is missing: put it back"):
        away.read_key()
    (study.path / "order.json").unlink()
    with pytest.raises(UserError, match=r"order\.json is missing"):
        StudyFolder.open(study.path)


def test_nothing_is_overwritten_and_nothing_half_made_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_disc_study(tmp_path / "study")
    with pytest.raises(UserError, match="is a reading study already: `taskct read"):
        make_disc_study(tmp_path / "study")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="exists: choose another --out"):
        make_disc_study(tmp_path / "other")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("taskct.reading_room.folder.asdict", full)
    with pytest.raises(OSError, match="No space"):
        make_disc_study(tmp_path / "third")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "study"]


def _rewrite(study: StudyFolder, name: str, change: dict[str, object]) -> None:
    """Change a file of JSON together with its digest: what the digests cannot notice."""
    import hashlib

    path = study.path / name
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    card = json.loads((study.path / "study.json").read_text())
    card["sha256"][name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (study.path / "study.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("protocol.json", {"design": "3afc"}, "at 'design'"),
        ("protocol.json", {"scale": 5}, "scale is out of its range"),
        ("protocol.json", {"n_trials": 11}, "does not see each of 11 trials once"),
        ("protocol.json", {"height": 31}, r"images\.npy is broken"),
        ("protocol.json", {"display": {"centre_hu": 0, "width_hu": 0, "adjustable": True}}, "width_hu is out of"),
        ("order.json", {"reader-1": []}, "does not see each of 12 trials once"),
        ("order.json", {"<b>": []}, "a reader is called '<b>'"),
        ("links.json", {"organiser": "short"}, "22 to 86 letters"),
        ("links.json", {"readers": {"Eve": "x" * 32}}, "names other readers"),
    ],
)  # fmt: skip
def test_a_broken_file_is_one_line(tmp_path: Path, name: str, change: dict[str, object], message: str) -> None:
    study = make_disc_study(tmp_path / "study")
    _rewrite(study, name, change)
    with pytest.raises(UserError, match=message):
        StudyFolder.open(study.path)


def test_a_key_of_another_study_is_refused(tmp_path: Path) -> None:
    one, other = make_disc_study(tmp_path / "one"), make_disc_study(tmp_path / "other", seed=1)
    _rewrite(one, "key.json", json.loads((other.path / "key.json").read_text()))
    with pytest.raises(UserError, match="does not belong to order"):
        StudyFolder.open(one.path).read_key()


def test_a_break_is_offered_only_where_trials_follow_it(tmp_path: Path) -> None:
    few = make_disc_study(tmp_path / "few", break_every=12).protocol  # of 12 trials
    more = make_disc_study(tmp_path / "more", break_every=11).protocol
    assert (few.break_every, more.break_every) == (0, 11)


def test_images_are_as_given(tmp_path: Path) -> None:
    study = make_disc_study(tmp_path / "study", "rating", arms=("a",), n_cases=20, contrast_hu=0.0)
    assert study.images.dtype == np.dtype("<i2")
    assert study.images.shape == (20, 32, 32)
    # The mean of 20,480 pixels of noise 20 HU: 5 standard errors are 0.7 HU.
    assert abs(float(study.images.mean()) - 50.0) < 0.7
