"""What an array looks like in memory decides no bit: order, slices, direction and address.

A product in floating point is a sum, and another order of its terms gives other last bits. Libraries choose the order
by strides and by alignment, each processor its own. So layouts are held as well as results: the former fail everywhere,
bits only on some processors.
"""

import numpy as np
import pytest
import torch

from human_noise import HUMAN_NOISE
from taskct.observers import OBSERVERS, ChannelizedHotelling, GroupedHead, SLNNHead, make_observer
from taskct.observers.channels import laguerre_gauss, unit_channels
from taskct.observers.eye import apply_eye_filter, eye_filter
from taskct.training.losses.detectability import DetectabilityLoss

SIDE, N_CHANNELS = 15, 5
SHAPE = (SIDE, SIDE)
CHANNELS = np.ascontiguousarray(laguerre_gauss(SHAPE, width_px=4.0, n_channels=N_CHANNELS))


def sliced(array):
    """The same values, every second of a larger array along its last direction."""
    larger = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), dtype=array.dtype)
    larger[..., ::2] = array
    return larger[..., ::2]


def elsewhere(array):
    """The same values at the least aligned address that NumPy allows."""
    store = np.empty(array.size + 64 // array.itemsize, dtype=array.dtype)
    first = (-store.ctypes.data // array.itemsize + 1) % (64 // array.itemsize)
    moved = store[first : first + array.size].reshape(array.shape)
    moved[...] = array
    return moved


def backwards(array):
    """The same values, stored from the last to the first."""
    return np.ascontiguousarray(array[::-1])[::-1]


LAYOUTS = {"fortran": np.asfortranarray, "sliced": sliced, "elsewhere": elsewhere, "backwards": backwards}


@pytest.fixture(params=sorted(LAYOUTS))
def layout(request):
    return LAYOUTS[request.param]


def head(kind, *, matrix=CHANNELS, offset_hu=40.0, seed=1):
    own = {"pixel": {}, "eye": {"pixel_mm": 0.7}, "channels": {"channel_matrix": matrix}}[kind]
    made = SLNNHead(SHAPE, kind=kind, offset_hu=offset_hu, scale_hu=25.0, **own)
    with torch.no_grad():
        made.weight.normal_(generator=torch.Generator().manual_seed(seed))
        made.bias.fill_(0.3)
    return made.eval()


@pytest.fixture(params=["pixel", "eye", "channels"])
def kind(request):
    return request.param


@pytest.fixture
def images():
    return np.random.default_rng(0).normal(40.0, 25.0, (31, *SHAPE))


def layouts_of(module):
    """Strides of every parameter and buffer, and whether they lie where torch puts its own."""
    return {name: (value.stride(), value.data_ptr() % 64) for name, value in module.state_dict().items()}


def statistics(made, images):
    with torch.no_grad():
        logits = made(torch.tensor(images, dtype=torch.float32)).numpy()
    return logits, made.test_statistic(images, torch.Generator().manual_seed(3))


def test_a_head_made_of_arrays_of_any_layout_is_the_same(kind, layout, images):
    mean = np.random.default_rng(1).normal(40.0, 5.0, SHAPE)
    expected = head(kind, offset_hu=mean)
    found = head(kind, matrix=layout(CHANNELS), offset_hu=layout(mean))
    assert layouts_of(found) == layouts_of(expected)
    assert all(value.is_contiguous() for value in found.state_dict().values())
    for one, other in zip(statistics(expected, images), statistics(found, images), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(found.template.detach().numpy(), expected.template.detach().numpy())


def test_a_head_that_was_loaded_is_the_one_it_came_from(kind, layout, images):
    saved = head(kind, matrix=layout(CHANNELS))
    loaded = head(kind, matrix=np.ones_like(CHANNELS), offset_hu=0.0, seed=2)
    loaded.load_state_dict(saved.state_dict())
    assert layouts_of(loaded) == layouts_of(saved)
    for one, other in zip(statistics(saved, images), statistics(loaded, images), strict=True):
        np.testing.assert_array_equal(one, other)


def test_several_heads_that_were_loaded_are_those_they_came_from(kind, layout, images):
    group = torch.arange(len(images)) % 2
    saved = GroupedHead([head(kind, matrix=layout(CHANNELS), seed=seed) for seed in (1, 2)])
    loaded = GroupedHead([head(kind, matrix=np.ones_like(CHANNELS), seed=seed) for seed in (3, 4)])
    loaded.load_state_dict(saved.state_dict())
    assert layouts_of(loaded) == layouts_of(saved)
    logits = [made.eval()(torch.tensor(images).float(), group) for made in (saved, loaded)]
    assert torch.equal(*logits)


def test_the_layout_of_the_images_changes_no_bit_of_a_head(kind, layout, images):
    made = head(kind)
    np.testing.assert_array_equal(
        *(made.test_statistic(array, torch.Generator().manual_seed(3)) for array in (images, layout(images)))
    )
    tensors = torch.tensor(images, dtype=torch.float32)
    moved = tensors.permute(1, 2, 0).contiguous().permute(2, 0, 1)  # trials side by side
    assert torch.equal(made(tensors), made(moved))
    assert torch.equal(made.seen(tensors), made.seen(moved))


NEEDED = {
    "ho_eye": {"pixel_mm": 0.7, "internal_noise_hu": 5.0},
    "npwe": {"pixel_mm": 0.7},
    "human": {"human": HUMAN_NOISE},
    "pwmf": {"covariance": np.eye(SIDE**2) * 625.0},
    "cho_gabor": {"n_orientations": 2},
    "cnn": {"n_steps": 40},
}


@pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")
@pytest.mark.parametrize("name", sorted(OBSERVERS))
def test_the_layout_of_the_images_changes_no_bit_of_an_observer(name, layout, images):
    present = np.arange(len(images)) % 2 == 0
    present[[0, 1]] = [False, True]  # so that no class is every second one
    fitted = [make_observer(name, **NEEDED.get(name, {})).fit(array, present) for array in (images, layout(images))]
    unseen = images[:9] + 1.0
    expected = fitted[0].test_statistic(unseen)
    np.testing.assert_array_equal(fitted[1].test_statistic(unseen), expected)
    np.testing.assert_array_equal(fitted[0].test_statistic(layout(unseen)), expected)


@pytest.mark.filterwarnings("ignore::taskct.observers.SmallSampleWarning")
def test_the_layout_of_channels_changes_no_bit(layout, images):
    present = np.arange(len(images)) % 2 == 0
    one, other = (ChannelizedHotelling(channels=matrix).fit(images, present) for matrix in (CHANNELS, layout(CHANNELS)))
    np.testing.assert_array_equal(one.template_, other.template_)
    unit = unit_channels(layout(CHANNELS), SHAPE)
    assert unit.flags.c_contiguous
    np.testing.assert_array_equal(unit, unit_channels(CHANNELS, SHAPE))
    tasks = [DetectabilityLoss(SHAPE, matrix) for matrix in (CHANNELS, layout(CHANNELS))]
    assert layouts_of(tasks[0]) == layouts_of(tasks[1])
    assert torch.equal(*(task.outputs(torch.tensor(images)) for task in tasks))


def test_the_layout_of_images_changes_no_bit_of_the_eye(layout, images):
    response = eye_filter(SHAPE, pixel_mm=0.7)
    np.testing.assert_array_equal(
        apply_eye_filter(images, response), apply_eye_filter(layout(images), layout(response))
    )
