# %% [markdown]
# # A network of your own
#
# Any `torch.nn.Module` that maps `(n, 1, height, width)` to the same shape is a denoiser. It needs no base class and no
# scaling: taskct puts the scaling of HU inside, and saves it with the weights.

# %%
import matplotlib.pyplot as plt
import torch
from torch import nn

import taskct
from taskct.denoisers import Denoiser
from taskct.metrics import mse_hu2, rmse_hu
from taskct.testing import check_denoiser


class TwoScales(nn.Module):
    """Takes away the noise that it finds at two scales."""

    def __init__(self, n_channels: int = 8) -> None:
        super().__init__()
        self.fine = nn.Sequential(
            nn.Conv2d(1, n_channels, 3, padding=1), nn.ReLU(), nn.Conv2d(n_channels, 1, 3, padding=1)
        )
        self.coarse = nn.Sequential(
            nn.Conv2d(1, n_channels, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.Conv2d(n_channels, 1, 3, padding=2, dilation=2),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Denoise images, shape `(n, 1, height, width)`."""
        return image - self.fine(image) - self.coarse(image)


# %% [markdown]
# The conformance suite says whether taskct can rely on it, with the scaling around it: the shape is kept, the images of
# a batch do not mix, every weight learns, and more. It raises an error that names the check that fails.

# %%
check_denoiser(Denoiser(TwoScales(), offset_hu=40.0, scale_hu=20.0))
print("TwoScales passes the conformance suite")

# %% [markdown]
# Trained here on the small task of the preset "smoke". In a study the same class is named by its import path, as in
# `taskct run --preset demo --set denoiser.network=my_package.TwoScales --out RUN`.

# %%
torch.manual_seed(0)
trials = taskct.simulate("smoke", trials={"n_train": 512})
test = trials["test"]
trained = taskct.pretrain(TwoScales(), trials["train"], trials["validation"], taskct.Plan(epochs=8, learning_rate=5e-3))
denoised = taskct.denoise(trained.denoiser, test.noisy, margin=test.margin)
for name, images in {"low dose": test.noisy_regions, "TwoScales": denoised}.items():
    print(f"{name}: RMSE {rmse_hu(mse_hu2(images, test.reference_regions)):.1f} HU on {len(test)} test trials")

# %%
test.plot(2, images={"TwoScales": denoised})
plt.show()
