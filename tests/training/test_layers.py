"""Which layers are fine-tuned."""

import pytest
from torch import nn

from taskct.denoisers.cnn import ResidualCNN
from taskct.errors import UserError
from taskct.training.layers import freeze_all_but, set_training_mode

NAMES = [f"layers.{i}.{kind}" for i in (0, 2, 4, 6) for kind in ("weight", "bias")]


@pytest.mark.parametrize(
    ("trainable", "chosen"),
    [
        ("all", NAMES),
        ("last:1", NAMES[6:]),
        ("last:3", NAMES[2:]),
        ("first:1", NAMES[:2]),
        ("first:4", NAMES),
        ("layers.[02].*", NAMES[:4]),
        ("*.weight", NAMES[::2]),
        ("bias", NAMES[1::2]),
        ("layers.2", NAMES[2:4]),
    ],
)
def test_patterns(trainable: str, chosen: list[str]) -> None:
    network = ResidualCNN(n_layers=4, n_channels=2)
    kept = freeze_all_but(network, trainable)
    assert [name for name, p in network.named_parameters() if p.requires_grad] == chosen
    assert [id(p) for p in kept] == [id(p) for name, p in network.named_parameters() if name in chosen]


def test_what_its_author_froze_stays_frozen() -> None:
    network = ResidualCNN(n_layers=4, n_channels=2)
    network.layers[6].requires_grad_(False)
    freeze_all_but(network, "all")
    assert [name for name, p in network.named_parameters() if p.requires_grad] == NAMES[:6]
    freeze_all_but(network, "last:1")  # of those that may learn
    assert [name for name, p in network.named_parameters() if p.requires_grad] == NAMES[4:6]


@pytest.mark.parametrize("trainable", ["last:0", "last:x", "decoder", "", "last:99", "first:5"])
def test_patterns_that_leave_nothing(trainable: str) -> None:
    network = nn.Identity() if not trainable else ResidualCNN(n_layers=2, n_channels=2)
    with pytest.raises(UserError, match=r"^training\.trainable"):
        freeze_all_but(network, trainable)


@pytest.mark.parametrize(
    ("trainable", "training"),
    [
        ("all", [True, True, True, True, True]),
        ("last:1", [True, False, False, False, True]),  # a normalization without parameters stays as well
        ("0.", [True, True, False, False, False]),
    ],
)
def test_what_is_frozen_is_in_evaluation_mode(trainable: str, training: list[bool]) -> None:
    network = nn.Sequential(nn.BatchNorm2d(1), nn.BatchNorm2d(1, affine=False), nn.Dropout(), nn.Conv2d(1, 1, 1))
    freeze_all_but(network, trainable)
    network.eval()
    set_training_mode(network)
    assert [module.training for module in network.modules()] == training
