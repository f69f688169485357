"""Which layers are fine-tuned."""

import pytest
from torch import nn

from taskct.denoisers.cnn import ResidualCNN
from taskct.errors import UserError
from taskct.training.layers import freeze_all_but

NAMES = [f"layers.{i}.{kind}" for i in (0, 2, 4, 6) for kind in ("weight", "bias")]


@pytest.mark.parametrize(
    ("trainable", "chosen"),
    [
        ("all", NAMES),
        ("last:1", NAMES[6:]),
        ("last:3", NAMES[2:]),
        ("last:99", NAMES),
        ("bias", NAMES[1::2]),
        ("layers.2", NAMES[2:4]),
    ],
)
def test_patterns(trainable: str, chosen: list[str]) -> None:
    network = ResidualCNN(n_layers=4, n_channels=2)
    for parameter in network.parameters():  # whatever was frozen before
        parameter.requires_grad_(False)
    kept = freeze_all_but(network, trainable)
    assert [name for name, p in network.named_parameters() if p.requires_grad] == chosen
    assert [id(p) for p in kept] == [id(p) for name, p in network.named_parameters() if name in chosen]


@pytest.mark.parametrize("trainable", ["last:0", "last:x", "decoder", ""])
def test_patterns_that_leave_nothing(trainable: str) -> None:
    network = nn.Identity() if not trainable else ResidualCNN(n_layers=2, n_channels=2)
    with pytest.raises(UserError, match=r"^training\.trainable"):
        freeze_all_but(network, trainable)
