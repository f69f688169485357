"""The trial store: round trip, disjoint splits, and a write that is whole or leaves the earlier store alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from some_trials import some_splits, some_trials
from taskct.errors import UserError
from taskct.trials import store
from taskct.trials.store import PartialStore, check_disjoint, read_trials, write_trials
from taskct.trials.trials import TRUTH, Trials, crop, select


def assert_same(a, b):
    for name in ("noisy", "reference", "signal_present"):
        one, other = getattr(a, name), getattr(b, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert set(a.truth) == set(b.truth)
    for name in a.truth:
        np.testing.assert_array_equal(a.truth[name], b.truth[name])


def assert_stored(path, splits):
    for name, trials in splits.items():
        assert_same(read_trials(path, name), trials)


def test_round_trip(tmp_path):
    splits = some_splits()
    write_trials(tmp_path / "run" / "trials", splits)
    assert_stored(tmp_path / "run" / "trials", splits)
    assert store.read_case_kind(tmp_path / "run" / "trials") == "phantoms"
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["trials"]


def test_more_trials_than_a_chunk_and_none_at_all(tmp_path):
    splits = {"train": some_trials(n=store.CHUNK_TRIALS + 3), "test": some_trials(1000, n=0)}
    write_trials(tmp_path / "trials", splits)
    assert_stored(tmp_path / "trials", splits)


def test_a_new_store_replaces_the_earlier_one(tmp_path):
    path = tmp_path / "trials"
    write_trials(path, some_splits())
    new = {"train": some_trials(seed=9)}
    write_trials(path, new)
    assert_stored(path, new)
    assert not (path / "test").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["trials"]


def test_splits_that_share_a_background_are_refused(tmp_path):
    check_disjoint({"train": np.arange(5), "test": np.arange(5, 9)})
    splits = {"train": some_trials(0), "test": some_trials(4)}
    with pytest.raises(ValueError, match="background 4 stands in both train and test"):
        check_disjoint({name: trials.truth["case"] for name, trials in splits.items()})
    with pytest.raises(ValueError, match="background 4"):
        write_trials(tmp_path / "trials", splits)
    assert list(tmp_path.iterdir()) == []


def broken_write(partial, split, start, trials):
    (partial / "half").write_text("written")
    raise OSError("no space left on device")


@pytest.mark.parametrize("earlier", [True, False])
def test_a_failed_write_leaves_the_earlier_store_and_nothing_else(tmp_path, monkeypatch, earlier):
    path, splits = tmp_path / "trials", some_splits()
    if earlier:
        write_trials(path, splits)
    with monkeypatch.context() as patch:
        patch.setattr(store, "write_chunk", broken_write)
        with pytest.raises(OSError, match="no space"):
            write_trials(path, some_splits(seed=50))
    assert [p.name for p in tmp_path.iterdir()] == (["trials"] if earlier else [])
    if earlier:
        assert_stored(path, splits)


def test_a_failed_swap_puts_the_earlier_store_back(tmp_path, monkeypatch):
    path, splits = tmp_path / "trials", some_splits()
    write_trials(path, splits)
    rename = Path.rename

    def refuse_the_new_one(self, target):
        if self.name.endswith(".partial"):
            raise PermissionError("not now")
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse_the_new_one)
        with pytest.raises(PermissionError):
            write_trials(path, some_splits(seed=50))
    assert [p.name for p in tmp_path.iterdir()] == ["trials"]
    assert_stored(path, splits)


KILLED_AT_STEP = """
import os, shutil, sys, types
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from some_trials import some_splits
from taskct.trials import store as trials

left = int(sys.argv[3])

def step_or_die(step):
    def wrapped(*args, **kwargs):
        global left
        if left == 0:
            os._exit(9)
        left -= 1
        return step(*args, **kwargs)
    return wrapped

class CountedPath(type(Path())):  # zarr's own renames do not count
    rename = step_or_die(Path.rename)

trials.shutil = types.SimpleNamespace(rmtree=step_or_die(shutil.rmtree))
trials.write_trials(CountedPath(sys.argv[2]), some_splits(seed=50))
"""


@pytest.mark.parametrize("step", range(6))  # clear, clear, move aside, move in place, unmark, clear: killed before each
def test_a_killed_write_loses_nothing(tmp_path, step):
    path, old, new = tmp_path / "trials", some_splits(), some_splits(seed=50)
    write_trials(path, old)
    arguments = [str(Path(__file__).parents[1]), str(path), str(step)]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT_STEP, *arguments], check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert killed.returncode == 9
    assert_stored(path, new if step >= 4 else old)
    write_trials(path, new)
    assert_stored(path, new)
    assert [p.name for p in tmp_path.iterdir()] == ["trials"]


@pytest.mark.parametrize("split", ["test", "fresh"])
def test_a_missing_split_or_store_is_the_users_to_mend(tmp_path, split):
    write_trials(tmp_path / "trials", {"train": some_trials()})
    for path in (tmp_path / "trials", tmp_path / "elsewhere"):
        with pytest.raises(UserError, match=f"no {split} trials in .*taskct simulate"):
            read_trials(path, split)


@pytest.mark.parametrize(
    "change",
    [
        {"noisy": np.zeros((4, 6, 7), np.float32)},
        {"reference": np.zeros((5, 6, 6), np.float32)},
        {"signal_present": np.zeros(6, bool)},
        {"truth": {name: np.zeros(4) for name in TRUTH}},
        {"truth": {name: np.zeros(5) for name in TRUTH[1:]}},
    ],
)
def test_trials_that_do_not_fit_together_are_refused(change):
    good = some_trials()
    parts = {name: getattr(good, name) for name in ("noisy", "reference", "signal_present", "truth")}
    with pytest.raises(ValueError, match=r"differ|truth table"):
        Trials(**(parts | change))


def test_crop_cuts_the_margin():
    images = np.arange(2 * 6 * 8, dtype=np.float32).reshape(2, 6, 8)
    np.testing.assert_array_equal(crop(images, 2), images[:, 2:4, 2:6])
    np.testing.assert_array_equal(crop(images, 0), images)
    assert len(some_trials()) == 5


def a_partial_store(path, key="same"):
    splits = some_splits()
    sizes = {name: (len(trials), 2) for name, trials in splits.items()}
    shape = {"image_shape": (6, 7), "columns": list(TRUTH), "case_kind": "phantoms"}
    return splits, PartialStore(path, sizes, key=key, **shape)


def write_missing(splits, partial, at_most=None):
    todo = partial.missing()[:at_most]
    for name, start, n in todo:
        partial.write(name, start, select(splits[name], slice(start, start + n)))
    return todo


def test_a_stopped_writer_goes_on_with_the_chunks_that_are_missing(tmp_path):
    path = tmp_path / "trials"
    splits, first = a_partial_store(path)
    done = write_missing(splits, first, 3)
    with pytest.raises(ValueError, match="chunks are not written"):
        first.finish()
    _, second = a_partial_store(path)
    assert set(second.missing()) == set(a_partial_store(tmp_path / "other")[1].missing()) - set(done)
    write_missing(splits, second)
    second.finish()
    assert_stored(path, splits)
    assert not path.with_name("trials.partial").exists()
    assert not list(path.rglob(".done*"))


def test_what_another_study_left_is_not_gone_on_with(tmp_path):
    splits, first = a_partial_store(tmp_path / "trials")
    write_missing(splits, first)
    _, other = a_partial_store(tmp_path / "trials", key="another")
    assert len(other.missing()) == sum(-(-n // chunk) for n, chunk in other.sizes.values())


def test_a_writer_stopped_before_it_said_that_all_is_in_place_repeats_nothing(tmp_path, monkeypatch):
    path = tmp_path / "trials"
    splits, first = a_partial_store(path)
    write_missing(splits, first)
    with monkeypatch.context() as patch:
        patch.setattr(store.shutil, "rmtree", lambda *args, **kwargs: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            first.finish()
    _, second = a_partial_store(path)
    assert second.missing() == []
    second.finish()
    assert_stored(path, splits)
    assert not (path / ".done").exists()


def test_more_columns_of_truth_than_the_ones_that_all_have(tmp_path):
    trials = some_trials()
    trials.truth["exponent"] = np.arange(len(trials), dtype=np.float64)
    write_trials(tmp_path / "trials", {"train": trials})
    assert_stored(tmp_path / "trials", {"train": trials})


def test_images_are_mapped_and_not_copied(tmp_path):
    path = tmp_path / "trials"
    splits = {"train": some_trials(n=store.CHUNK_TRIALS + 3)}
    write_trials(path, splits)
    first, second = read_trials(path, "train"), read_trials(path, "train")
    for name in store.IMAGES:
        mapped = getattr(first, name)
        assert isinstance(mapped, np.memmap)
        assert np.shares_memory(torch.from_numpy(mapped).numpy(), mapped)  # a warning would fail this test
        assert np.shares_memory(crop(mapped, 1), mapped)
        mapped[0] = -1.0  # neither another reader nor the store sees it
        np.testing.assert_array_equal(getattr(second, name), getattr(splits["train"], name))
    assert_stored(path, splits)


def test_numpy_alone_opens_the_store(tmp_path):
    trials = some_trials()
    write_trials(tmp_path / "trials", {"train": trials}, case_kind="patients")
    folder = tmp_path / "trials" / "train"
    np.testing.assert_array_equal(np.load(folder / "noisy.npy", allow_pickle=False), trials.noisy)
    truth = np.load(folder / "truth.npy", allow_pickle=False)
    assert truth.dtype.names == ("signal_present", *trials.truth)
    np.testing.assert_array_equal(truth["x_mm"], trials.truth["x_mm"])
    assert json.loads((tmp_path / "trials" / "store.json").read_text())["group_name"] == "patients"


def zarr_store(path, trials):
    """A store as it was written when it was one of Zarr."""
    root = zarr.open_group(str(path), mode="w", attributes={"group_name": "slices"})
    group = root.create_group("train")
    for name in ("noisy", "reference", "signal_present"):
        array = getattr(trials, name)
        group.create_array(name, shape=array.shape, chunks=array.shape, dtype=array.dtype, compressors=None)[:] = array
    table = np.stack(list(trials.truth.values()), axis=1)
    columns = {"columns": list(trials.truth)}
    group.create_array("truth", shape=table.shape, dtype="float64", attributes=columns)[:] = table


def test_an_earlier_store_of_zarr_is_read(tmp_path):
    trials = some_trials()
    zarr_store(tmp_path / "trials", trials)
    assert_stored(tmp_path / "trials", {"train": trials})
    assert store.read_case_kind(tmp_path / "trials") == "slices"
    file = tmp_path / "trials" / "train" / "noisy" / "c" / "0" / "0" / "0"
    os.truncate(file, 100)
    with pytest.raises(UserError, match=r"cannot be read as trials.*simulate the trials again"):
        read_trials(str(tmp_path / "trials"), "train")


@pytest.mark.parametrize("name", ["reference", "truth"])
@pytest.mark.parametrize("left", [None, 0, 100, 300])
def test_a_file_that_is_not_whole_is_refused(tmp_path, name, left):
    path = tmp_path / "trials"
    write_trials(path, some_splits())
    file = path / "test" / f"{name}.npy"
    if left is None:
        file.unlink()
    else:
        os.truncate(file, left)
    with pytest.raises(UserError, match=f"{name}.npy.*simulate the trials again"):
        read_trials(path, "test")
    assert len(read_trials(path, "train")) == 4


WRITES_A_PART = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from some_trials import some_splits
from taskct.trials.trials import select
from taskct.trials.store import write_chunk

for start in map(int, sys.argv[3:]):
    trials = select(some_splits()["test"], slice(start, start + 2))
    write_chunk(Path(sys.argv[2]), "test", start, trials)
"""


def test_several_processes_fill_one_file(tmp_path):
    splits, partial = a_partial_store(tmp_path / "trials")
    start = [sys.executable, "-c", WRITES_A_PART, str(Path(__file__).parents[1]), str(partial.partial)]
    writers = [subprocess.Popen([*start, *parts], env={**os.environ, "OMP_NUM_THREADS": "1"}) for parts in ("04", "62")]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert [name for name, _, _ in partial.missing() if name == "test"] == []
    write_missing(splits, partial)
    partial.finish()
    assert_stored(tmp_path / "trials", splits)
