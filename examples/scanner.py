# %% [markdown]
# # A lesion at two doses
#
# The scanner in its parts: a geometry, exact line integrals of ellipses, photon noise, reconstruction. The object is a
# water-like body with a small lesion. The noise of the images is compared with what theory predicts for that pixel.

# %%
import matplotlib.pyplot as plt
import torch

from taskct.scanner import (
    FBP,
    SCANNERS,
    ScanGeometry,
    add_noise,
    hu_to_mu,
    i0_for_noise,
    mu_to_hu,
    noise_hu,
    project_ellipses,
)

DOSES = (1.0, 0.25)  # of the full dose
NOISE_HU = 8.0  # wanted at the full dose, in the middle of the image
ELECTRONIC_NOISE = 10.0  # photon equivalents per ray

geometry = ScanGeometry(**SCANNERS["siemens-definition-as"].geometry)
print(f"{geometry.n_views} views of {geometry.n_bins} bins, field of view {geometry.field_of_view_mm:.0f} mm")

# %% [markdown]
# The body has 40 HU; the lesion, 8 mm across, is 30 HU brighter. Line integrals add up, so an ellipse that is brighter
# than what surrounds it is projected by its difference.

# %%
body, contrast = float(hu_to_mu(torch.tensor(40.0))), float(hu_to_mu(torch.tensor(30.0)) - hu_to_mu(torch.tensor(0.0)))
line_integral = project_ellipses(
    geometry,
    x_mm=[[0.0, 10.0]],
    y_mm=[[0.0, -5.0]],
    half_x_mm=[[160.0, 4.0]],
    half_y_mm=[[120.0, 4.0]],
    mu=[[body, contrast]],
)

# %% [markdown]
# The region around the lesion is reconstructed alone. `i0_for_noise` finds the photons per ray that give its middle
# pixel the wanted noise.

# %%
fbp = FBP(geometry, n_pixels=96, pixel_mm=0.7, center_mm=(5.0, 0.0))
weights = fbp.pixel_weights(48, 48)
i0 = i0_for_noise(NOISE_HU, weights, line_integral[0], electronic_noise=ELECTRONIC_NOISE)
print(f"{i0:,.0f} photons per ray at the full dose")

# %%
images = {}
for dose in DOSES:
    copies = line_integral.expand(20, -1, -1)  # the same object, 20 draws of the noise
    noisy = add_noise(copies, i0=dose * i0, electronic_noise=ELECTRONIC_NOISE, seeds=range(20))
    images[dose] = mu_to_hu(fbp.reconstruct(noisy))
    expected = noise_hu(weights, line_integral[0], i0=dose * i0, electronic_noise=ELECTRONIC_NOISE)
    flat = images[dose][:, 40:56, 40:56]  # around the middle, away from the lesion
    error = float(flat.std(dim=0).std() / flat.std(dim=0).mean())
    found = float(flat.var(dim=0).mean().sqrt())
    print(
        f"dose {dose:g}: noise {found:.1f} HU over 20 scans, theory {expected:.1f} HU (pixels scatter by {error:.0%})"
    )

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3.4), layout="constrained")
shown = {"no noise": mu_to_hu(fbp.reconstruct(line_integral))[0]}
shown |= {f"dose {dose:g}": image[0] for dose, image in images.items()}
for ax, (title, image) in zip(axes, shown.items(), strict=True):
    picture = ax.imshow(image, cmap="gray", vmin=0.0, vmax=100.0, extent=(-28.6, 38.6, 33.6, -33.6))
    ax.set(title=title, xlabel="x (mm)")
axes[0].set_ylabel("y (mm)")
figure.colorbar(picture, ax=axes, label="HU")
plt.show()
