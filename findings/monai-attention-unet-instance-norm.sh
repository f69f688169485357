#!/usr/bin/env bash
# MONAI 1.6.1: AttentionUnet normalizes each image by itself, though every layer one meets in its source is batch-normalized.
#
# Expected: AttentionUnet takes no argument for normalization; its blocks, its attention gates and its upsampling are written with
#   batch normalization, which in evaluation mode is a fixed scaling. Its three-level 2D network is a few tens of pixels wide, so
#   an object 64 pixels away should not change a pixel.
# Happens: the convolution that merges a skip connection with what comes from below is made without naming a normalization, and
#   the default of that block is instance normalization. Each level has one. Statistics of the whole image enter every
#   pixel in evaluation mode too, and no argument turns that off.
# Why it matters: for quantitative images, as denoised CT, a bright object elsewhere in the slice shifts the values here,
#   a region gives other values than the same region in its slice, and slices cannot be processed in tiles.
#
# Output seen (torch 2.13.0 on a CPU with AVX-512):
#   BatchNorm2d 14, InstanceNorm2d 2: model.1.merge.adn.N, model.1.submodule.1.merge.adn.N
#   change 64 pixels away, as a share of the image's spread: 0.69
#   the same, once the two are replaced by nn.Identity: 0.00
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
# On Linux this is torch's large CUDA build; add --extra-index-url https://download.pytorch.org/whl/cpu for the small one.
"$folder/venv/bin/pip" install --quiet torch==2.13.0 monai==1.6.1 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import torch
from monai.networks.nets import AttentionUnet
from torch import nn

torch.manual_seed(0)
network = AttentionUnet(spatial_dims=2, in_channels=1, out_channels=1, channels=[16, 32, 64], strides=[2, 2]).eval()
kinds = {name: type(module).__name__ for name, module in network.named_modules() if "Norm" in type(module).__name__}
instance = [name for name, kind in kinds.items() if kind == "InstanceNorm2d"]
n_batch = sum(kind == "BatchNorm2d" for kind in kinds.values())
print(f"BatchNorm2d {n_batch}, InstanceNorm2d {len(instance)}: {', '.join(instance)}")


def far_change() -> float:
    """RMS change of the first 32 columns by 10 standard deviations more in the last 32, over the output's spread."""
    image = torch.randn((1, 1, 128, 128), generator=torch.Generator().manual_seed(1))
    bright = image.clone()
    bright[..., 96:] += 10.0
    with torch.no_grad():
        still, moved = network(image), network(bright)
    return float((moved - still)[..., :32].square().mean().sqrt() / still.std())


as_it_comes = far_change()
print(f"change 64 pixels away, as a share of the image's spread: {as_it_comes:.2f}")
for name in instance:
    network.get_submodule(name.rpartition(".")[0]).N = nn.Identity()
without = far_change()
print(f"the same, once the two are replaced by nn.Identity: {without:.2f}")
assert (n_batch, len(instance)) == (14, 2)
assert as_it_comes > 0.3
assert without < 0.01
PY
