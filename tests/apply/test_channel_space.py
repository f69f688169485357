"""Observers that meet the outputs of their channels find what they find in the images."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from taskct.apply.observe import EvaluationPlan, Eye, Task, observe
from taskct.apply.observe.channel_space import channel_spaces
from taskct.apply.observe.inputs import Sources, read_inputs
from taskct.apply.observe.performance import perform
from taskct.apply.observe.readings import Known, build, take_reading
from taskct.io.image_stack import open_images
from taskct.io.stored_images import StoredImages
from taskct.io.truth_table import Truth

N, SIDE = 400, 24
NAMES = ("cho-lg", "cho-gabor", "cho-sdog", "cho-ddog")


def trials(moving=False):
    rng = np.random.default_rng(9)
    present = np.arange(N) % 2 == 0
    centres = rng.integers(8, SIDE - 8, size=(N, 2)) if moving else np.full((N, 2), (SIDE - 1) / 2)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(rows - centres[:, :1, None], columns - centres[:, 1:, None])
    images = rng.normal(0.0, 20.0, (N, SIDE, SIDE)) + 8.0 * present[:, None, None] * np.exp(-(distance**2) / 18.0)
    return images.astype(np.float32), Truth(present, centres.astype(np.float64) if moving else None, None, None)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.7])
@pytest.mark.parametrize("name", NAMES)
def test_statistics_and_intervals_are_those_of_the_images(name, noise, moving):
    images, truth = trials(moving)
    task = Task(truth, "centred", 15) if moving else Task(truth)
    plan, eye = EvaluationPlan(), Eye(0.7, 500.0, 1.0, 3.0, internal_noise=noise)
    train, test = np.arange(0, N, 4), np.setdiff1d(np.arange(N), np.arange(0, N, 4))
    train = np.union1d(train, train + 1)
    test = np.setdiff1d(test, train)
    observer = build(name, eye, Known(), seed=5, device="cpu")
    space = channel_spaces({name: [observer]}, [StoredImages([images])], task)[name]
    found = []
    for one, stack, its_task in ((observer, images, task), (space.observers[0], space.stacks[0], space.task)):
        reading = take_reading(one, stack, its_task, train=train, test=test, seed=5)
        found.append(perform([reading], stack, its_task, test, plan))
    np.testing.assert_allclose(found[0].statistics, found[1].statistics, rtol=1e-8, atol=1e-8)
    assert found[0].auc == found[1].auc
    assert (found[0].gaussian_auc is None) == (noise > 0.0)
    if noise == 0.0:
        assert found[0].gaussian_auc.ci_low == pytest.approx(found[1].gaussian_auc.ci_low, rel=1e-8)
    assert found[0].readings[0].small_sample == found[1].readings[0].small_sample


def test_observers_whose_channels_are_learned_or_that_have_none_meet_the_images():
    images, truth = trials()
    eye = Eye(0.7, 500.0, 1.0, 3.0)
    made = {name: [build(name, eye, Known(), seed=0, device="cpu")] for name in ("ho", "cho-pls", "npwe", "cho-lg")}
    assert set(channel_spaces(made, [StoredImages([images])], Task(truth))) == {"cho-lg"}
    moving, its_truth = trials(moving=True)
    assert channel_spaces(made, [StoredImages([moving])], Task(its_truth, "scanning", 15)) == {}


def test_images_in_files_give_the_same_as_images_in_memory(tmp_path):
    images, truth = trials()
    smoother = (images + np.roll(images, 1, axis=1)) / 2
    found = []
    for name, array in (("a", images), ("b", smoother)):
        np.save(tmp_path / f"{name}.npy", array)
    opened = [open_images(tmp_path / f"{name}.npy").images for name in ("a", "b")]
    for one, other in ((images, smoother), opened):
        eye = Eye(0.7, 500.0, 1.0, 3.0)
        found.append(observe(one, Task(truth), ["cho-lg", "npwe", "ho"], versus=other, eye=eye).as_dict())
    assert found[0] == found[1]


def test_which_images_are_smoother_is_said_as_from_whole_arrays():
    images, truth = trials()
    smoother = (images + np.roll(images, 1, axis=1)) / 2
    said = []
    for one, other in ((images, smoother), (smoother, images)):
        found = observe(one, Task(truth), ["cho-lg", "ho"], versus=other, eye=Eye(0.7, 500.0, 1.0, 3.0))
        assert len({note for result in found.observers for note in result.notes if "errs in favour" in note}) == 1
        said.append("here those of --versus" in " ".join(found.observers[0].notes))
    assert said == [True, False]


def test_images_in_files_are_never_in_memory_together(tmp_path):
    rng = np.random.default_rng(10)
    n, side = 1200, 64
    for name, offset in (("with", 5.0), ("without", 0.0)):
        np.save(tmp_path / f"{name}.npy", rng.normal(offset, 20.0, (n // 2, side, side)).astype(np.float32))
    whole = 4 * n * side**2
    tracemalloc.start()
    try:
        known = read_inputs(Sources(present=tmp_path / "with.npy", absent=tmp_path / "without.npy"))
        found = observe(known.images, Task(known.truth), ["cho-lg", "cho-sdog"], eye=Eye(0.7, 500.0, 1.0, 3.0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found.observers) == 2
    assert peak < whole / 2


def test_what_is_not_needed_is_not_loaded(tmp_path):
    """PyTorch and Matplotlib take seconds and hundreds of MB; channelized observers need neither."""
    images, _ = trials()
    np.save(tmp_path / "with.npy", images[::2])
    np.save(tmp_path / "without.npy", images[1::2])
    arguments = ["observe", "--present", "with.npy", "--absent", "without.npy", "--observers", "cho-lg", "--json"]
    code = f"""
import sys
sys.argv = ["taskct", *{arguments}]
from taskct.cli import main
try:
    main()
except SystemExit:
    pass
print(sorted({{"torch", "matplotlib"}} & set(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert '"cho-lg"' in done.stdout
    assert done.stderr.splitlines()[-1] == "[]"
