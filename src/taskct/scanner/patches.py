"""Line integrals of small pixel patches at any place, for shapes without a closed form."""

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.scanner.analytic import Rays, bins_met, met_in_chunks
from taskct.scanner.geometry import ScanGeometry


def project_patches(
    geometry: ScanGeometry,
    patch_mu: torch.Tensor | NDArray[np.floating],
    *,
    x_mm: NDArray[np.floating],
    y_mm: NDArray[np.floating],
    pixel_mm: float,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Project one patch a trial by Joseph's method, along those rays only that meet what is in it.

    Patches, mm⁻¹, `(n, n_pixels, n_pixels)` (x grows with the column, y with the row), stand about (x, y), mm, `(n,)`;
    their pitch is half the scan's `isocenter_bin_mm` or finer. A patch is finer than the object grid and stands at its
    own sub-pixel place, so no error comes from placing it. As in `joseph_matrix` a ray is sampled once a column (or
    row, whichever it crosses more steeply), linearly between the two nearest pixels; outside the patch there is
    nothing. Sinograms are float32, `(n, n_views, n_bins)`. Source: Joseph, IEEE Trans. Med. Imaging 1, 192 (1982).
    """
    patch = torch.as_tensor(patch_mu, dtype=torch.float32, device=device)
    x, y = np.asarray(x_mm, dtype=np.float64), np.asarray(y_mm, dtype=np.float64)
    n, side = len(patch), patch.shape[-1]
    if patch.shape != (n, side, side) or x.shape != (n,) or y.shape != (n,):
        raise ValueError(f"patches of shape {tuple(patch.shape)} at {x.shape} and {y.shape}, not (n, side, side), (n,)")
    axis = (torch.arange(side, device=device) - (side - 1) / 2.0) * pixel_mm
    # Of each ray and step one row is wanted, between two pixels; a patch turned over serves the flatter rays. Two
    # rows of nothing on either side take what lies outside.
    both = torch.nn.functional.pad(torch.stack([patch, patch.transpose(1, 2)], dim=1), (0, 0, 2, 2))
    radius = (torch.hypot(axis[:, None], axis) * (patch != 0)).amax(dim=(1, 2)) + np.sqrt(2.0) * pixel_mm
    first, last = bins_met(geometry, x_mm=x, y_mm=y, radius_mm=radius.cpu().numpy())
    rays = Rays(geometry, device)
    center = torch.from_numpy(np.stack([x, y]).astype(np.float32)).to(device)
    out = torch.zeros(n * geometry.n_views * geometry.n_bins, device=device)
    for index, start, width in met_in_chunks(first, last, geometry.n_bins, work_per_ray=side):
        chosen = torch.from_numpy(index).to(device)
        ray, (normal_x, normal_y, offset) = rays.at(start, width)
        cx, cy = center[:, chosen, None, None]
        distance = offset - cx * normal_x - cy * normal_y
        turned = normal_y.abs() < normal_x.abs()
        main, cross = torch.where(turned, normal_x, normal_y), torch.where(turned, normal_y, normal_x)
        row = ((distance / main)[..., None] - (cross / main)[..., None] * axis) / pixel_mm + (side + 3) / 2.0
        row = row.clamp_(0.0, side + 2.99)  # of the padded patch
        low = row.to(torch.int64)
        share = row - low
        low += ((chosen[:, None, None] * 2 + turned) * (side + 4))[..., None]
        place = low * side + torch.arange(side, device=device)
        below = both.reshape(-1).take(place)
        above = both.reshape(-1).take(place + side)
        value = torch.lerp(below, above, share).sum(dim=-1) * (pixel_mm / main.abs())
        ray += (chosen * rays.table.shape[1])[:, None, None]
        out.index_add_(0, ray.reshape(-1), value.reshape(-1))
    return out.reshape(n, geometry.n_views, geometry.n_bins)
