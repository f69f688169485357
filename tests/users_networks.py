"""Networks as users bring them, in a module of their own that is imported by its path."""

from pathlib import Path

import pytest

MODULE = """
import warnings

import torch
import torch.nn.functional as F
from torch import nn


class Halving(nn.Module):
    # A U-Net's way down and up, which fails on images that cannot be halved three times.
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList(nn.Conv2d(1 if i == 0 else 4, 4, 3, padding=1) for i in range(3))
        self.up = nn.ModuleList(nn.ConvTranspose2d(4, 4, 2, stride=2) for _ in range(3))
        self.last = nn.Conv2d(4, 1, 1)

    def forward(self, image):
        features, skipped = image, []
        for layer in self.down:
            features = torch.relu(layer(features))
            skipped.append(features)
            features = F.max_pool2d(features, 2)
        for layer in self.up:
            features = skipped.pop() + layer(features)
        return image - self.last(features)


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.first = nn.utils.weight_norm(nn.Conv2d(1, 4, 3, padding=1))
        self.last = nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, image):
        return image - self.last(torch.relu(self.first(image)))


class Plain(nn.Module):
    # The last layer makes the image.
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, image):
        return self.last(torch.relu(self.first(image)))


class Standardised(Plain):
    def forward(self, image):
        return super().forward(F.instance_norm(image))


class Frozen(Plain):
    @torch.no_grad()
    def forward(self, image):
        return super().forward(image)


class Counting(Plain):
    def get_extra_state(self):
        return {"seen": 3}

    def set_extra_state(self, state):
        pass


class InPlace(Plain):
    def forward(self, image):
        features = torch.sigmoid(self.first(image))
        features += 1.0
        return self.last(features)


class Sampled(Plain):
    # In training alone the sides are rounded down to multiples of 4.
    def forward(self, image):
        output = super().forward(image)
        if self.training:
            output = output[..., : output.shape[-2] // 4 * 4, : output.shape[-1] // 4 * 4]
        return output


class Deciding(Plain):
    # Pads odd sides alone, as some of MONAI's do.
    def forward(self, image):
        height, width = image.shape[-2:]
        if height % 2:
            image = F.pad(image, (0, 0, 0, 1), mode="replicate")
        if width % 2:
            image = F.pad(image, (0, 1, 0, 0), mode="replicate")
        low = super().forward(F.avg_pool2d(image, 2))
        return (image + F.interpolate(low, scale_factor=2))[..., :height, :width]


class Area(Plain):
    # Half the resolution and back, by averages over areas.
    def forward(self, image):
        low = F.interpolate(image, scale_factor=0.5, mode="area")
        return image - 0.1 * F.interpolate(super().forward(low), size=image.shape[-2:], mode="nearest")


class Antialiased(Plain):
    def forward(self, image):
        low = F.interpolate(image, scale_factor=0.5, mode="bilinear", antialias=True)
        return image - 0.1 * F.interpolate(super().forward(low), size=image.shape[-2:], mode="nearest")


class Pooled(Plain):
    # What lies around, on a grid of 8 x 8 whatever the size.
    def forward(self, image):
        around = F.adaptive_avg_pool2d(super().forward(image), 8)
        return image - 0.1 * F.interpolate(around, size=image.shape[-2:], mode="bilinear")


class Autocast(Plain):
    def forward(self, image):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return image - super().forward(image)


class Dialled(Plain):
    # A strength that is a number of Python's.
    def __init__(self, strength=0.5):
        super().__init__()
        self.strength = strength

    def forward(self, image):
        return image - self.strength * super().forward(image)


class OneSize(nn.Module):
    def __init__(self):
        super().__init__()
        self.whole = nn.Linear(24 * 24, 24 * 24)

    def forward(self, image):
        return image - 0.1 * self.whole(image.flatten(1)).reshape(image.shape)


class Looping(Plain):
    # How often it runs depends on the image.
    def forward(self, image):
        output = super().forward(image)
        while bool(output.abs().max() > 1e9):
            output = super().forward(output)
        return output
"""


def import_networks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the module importable; returns its name, which is a new one for every folder."""
    name = f"users_networks_{folder.name}".replace("-", "_")
    (folder / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(folder))
    return name
