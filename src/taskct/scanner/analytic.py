"""Exact line integrals of ellipses, uniform or falling off towards the rim, and of Gaussians.

Only the few rays of each view that meet an object are computed. All of these are functions of the radius ρ in an
ellipse, so their line integrals depend on one number: the ray's distance from the centre over the half width w that
the ellipse has across the ray.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import special

from taskct.errors import UserError
from taskct.scanner.geometry import ScanGeometry

RAYS_PER_CHUNK = 2**21  # bounds the memory: a dozen arrays of as many numbers
GAUSSIAN_REACH = 5.0  # half widths at half maximum after which a Gaussian counts as nothing: 2^-25 of its peak


def bins_met(
    geometry: ScanGeometry, *, x_mm: NDArray[np.floating], y_mm: NDArray[np.floating], radius_mm: NDArray[np.floating]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last bin of every view whose rays may meet a circle, `(n, n_views)`.

    A UserError, if a circle reaches as far as the source's path. Some bins may lie beyond the detector, and `last` is
    less than `first` where the circle falls between two rays.
    """
    x, y, radius = (np.asarray(v, dtype=np.float64)[:, None] for v in (x_mm, y_mm, radius_mm))
    view = geometry.view_rad[None, :]
    if geometry.detector == "parallel":
        middle, _ = geometry.shadow(x, y, view)
        half = radius / geometry.bin_step
        return np.ceil(middle - half).astype(np.int64), np.floor(middle + half).astype(np.int64)
    reach = float((np.hypot(x, y) + radius).max(initial=0.0))
    if reach >= geometry.source_isocenter_mm:
        raise UserError(
            f"an object reaches {reach:.0f} mm from the isocentre, as far as the source "
            f"({geometry.source_isocenter_mm:.0f} mm): make it smaller or move it inwards"
        )
    cos, sin = np.cos(view), np.sin(view)
    depth, aside = geometry.source_isocenter_mm - x * cos - y * sin, y * cos - x * sin
    angle, opening = np.arctan2(aside, depth), np.arcsin(radius / np.hypot(depth, aside))
    # Within a right angle: no ray of a flat detector reaches further.
    fan = np.clip(np.stack([angle - opening, angle + opening]), -1.57, 1.57)
    position = fan if geometry.detector == "curved" else geometry.source_isocenter_mm * np.tan(fan)
    limit = 2.0 * geometry.n_bins  # before the conversion to integers
    low, high = np.clip(position / geometry.bin_step + geometry.center_bin, -limit, limit)
    return np.ceil(low).astype(np.int64), np.floor(high).astype(np.int64)


def met_in_chunks(
    first: NDArray[np.int64], last: NDArray[np.int64], n_bins: int, *, work_per_ray: int = 1
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], int]]:
    """Share out objects, with the bins that `bins_met` found, into chunks of similar size and bounded memory.

    `work_per_ray` is how many numbers are held for each ray. Yields which objects, `(m,)`; the first bin to compute in
    each view, `(m, n_views)`; and how many from there on.
    """
    start, stop = np.maximum(first, 0), np.minimum(last, n_bins - 1)
    widest = (stop - start + 1).max(axis=1, initial=0)
    order = np.argsort(-widest, kind="stable")
    order = order[widest[order] > 0]
    done = 0
    while done < len(order):
        width = int(widest[order[done]])
        m = max(RAYS_PER_CHUNK // (width * first.shape[1] * work_per_ray), 1)
        index = order[done : done + m]
        yield index, np.minimum(start[index], n_bins - width), width
        done += m


class Rays:
    """Normals of a scan's rays and their distance from the isocentre, as tensors."""

    def __init__(self, geometry: ScanGeometry, device: torch.device | str) -> None:
        source, direction = geometry.rays()
        normal = np.stack([-direction[..., 1], direction[..., 0]])
        # In double precision, then rounded: two terms of the size of the source's distance nearly cancel.
        offset = source[..., 0] * normal[0] + source[..., 1] * normal[1]
        self.table = torch.from_numpy(np.stack([*normal, offset]).astype(np.float32)).to(device).reshape(3, -1)
        self.n_views, self.n_bins = geometry.n_views, geometry.n_bins

    def at(self, start: NDArray[np.int64], width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Number the rays of `width` bins from `start`, `(m, n_views)`, on, and look up (normal x, normal y, offset).

        Given are indices into a flattened sinogram, `(m, n_views, width)`, and values, `(3, m, n_views, width)`.
        """
        device = self.table.device
        row = torch.arange(self.n_views, device=device) * self.n_bins
        begin = torch.from_numpy(start).to(device) + row
        ray = begin[..., None] + torch.arange(width, device=device)
        return ray, self.table[:, ray]


def _project(
    geometry: ScanGeometry,
    ellipses: Sequence[ArrayLike],
    *,
    reach: float,
    shape: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    device: torch.device | str,
) -> torch.Tensor:
    """Sum peak · (half_x · half_y / w) · `shape`((distance / w)², parameter) over the ellipses of each trial.

    `ellipses` are x, y, half_x, half_y, angle, peak and parameter; they count up to `reach` times their half axes.
    """
    arrays = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in ellipses))
    if arrays[0].ndim not in (1, 2):
        raise ValueError(f"ellipses have shape {arrays[0].shape}, not (n,) or (n, n_ellipses)")
    n = len(arrays[0])
    owner = np.broadcast_to(np.arange(n).reshape(-1, *[1] * (arrays[0].ndim - 1)), arrays[0].shape).ravel()
    x, y, a, b, angle, height, power = (v.ravel() for v in arrays)
    if not (a > 0).all() or not (b > 0).all():
        raise ValueError("an ellipse has a semi-axis that is not positive")
    rays = Rays(geometry, device)
    out = torch.zeros(n * geometry.n_views * geometry.n_bins, device=device)
    first, last = bins_met(geometry, x_mm=x, y_mm=y, radius_mm=reach * np.maximum(a, b))
    columns = np.stack([x, y, a * np.cos(angle), a * np.sin(angle), b * np.cos(angle), b * np.sin(angle)])
    table = torch.from_numpy(np.stack([*columns, height * a * b, power]).astype(np.float32)).to(device)
    for index, start, width in met_in_chunks(first, last, geometry.n_bins):
        chosen = torch.from_numpy(index).to(device)
        cx, cy, a_cos, a_sin, b_cos, b_sin, scale, order = table[:, chosen, None, None]
        ray, (normal_x, normal_y, offset) = rays.at(start, width)
        square = (a_cos * normal_x + a_sin * normal_y) ** 2 + (b_cos * normal_y - b_sin * normal_x) ** 2
        distance = cx * normal_x + cy * normal_y - offset
        value = scale * square.rsqrt() * shape(distance**2 / square, order)
        ray += torch.from_numpy(owner[index] * rays.table.shape[1]).to(device)[:, None, None]
        out.index_add_(0, ray.reshape(-1), value.reshape(-1))
    return out.reshape(n, geometry.n_views, geometry.n_bins)


def project_ellipses(
    geometry: ScanGeometry,
    *,
    x_mm: ArrayLike,
    y_mm: ArrayLike,
    half_x_mm: ArrayLike,
    half_y_mm: ArrayLike,
    mu: ArrayLike,
    angle_rad: ArrayLike = 0.0,
    exponent: ArrayLike = 0.0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Compute the exact line integrals of ellipses μ·(1 − ρ²)^exponent, with ρ the radius in the ellipse.

    Float32 sinograms, `(n, n_views, n_bins)`. The Abel transform is μ·R·√π·Γ(ν+1)/Γ(ν+3/2)·(1 − p²/R²)^(ν+1/2) for a
    circle of radius R and exponent ν at the distance p.

    Parameters
    ----------
    geometry, device
        The scan, and where to compute.
    x_mm, y_mm
        Centres, mm, shape `(n,)`, or `(n, n_ellipses)` for the sum over several a trial; all that follow broadcast.
    half_x_mm, half_y_mm, angle_rad
        Semi-axes, mm, positive; direction of the first, rad, from +x towards +y.
    mu
        Linear attenuation in the middle (or its difference from what surrounds the ellipse), mm⁻¹.
    exponent
        At least 0: 0 is a uniform ellipse, 1/2 the depth of a ball, more a nodule that falls off towards the rim.

    Raises
    ------
    UserError
        If an ellipse reaches as far as the source's path.
    ValueError
        If the shapes do not fit, a semi-axis is not positive or an exponent is negative.

    Examples
    --------
    >>> scan = ScanGeometry(500.0, 900.0, n_bins=3, bin_mm=9.0, views_per_turn=4)
    >>> middle = project_ellipses(scan, x_mm=[0.0], y_mm=[0.0], half_x_mm=[30.0], half_y_mm=[10.0], mu=[0.02])[0, :, 1]
    >>> [round(float(v), 4) for v in middle]  # seen from +x the long axis lies along the ray
    [1.2, 0.4, 1.2, 0.4]
    """
    power = np.asarray(exponent, dtype=np.float64)
    if not (power >= 0).all():
        raise ValueError("an ellipse's exponent is negative")
    height = np.sqrt(np.pi) * np.exp(special.gammaln(power + 1.0) - special.gammaln(power + 1.5))
    peak = np.asarray(mu, dtype=np.float64) * height
    return _project(
        geometry,
        (x_mm, y_mm, half_x_mm, half_y_mm, angle_rad, peak, power),
        reach=1.0,
        shape=_power if power.any() else _root,
        device=device,
    )


def _power(square: torch.Tensor, exponent: torch.Tensor) -> torch.Tensor:
    return (1.0 - square).clamp_min(0.0) ** (exponent + 0.5)


def _root(square: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    """The chord of a uniform ellipse; a square root is several times as fast as a power."""
    return (1.0 - square).clamp_min(0.0).sqrt()


def project_gaussians(
    geometry: ScanGeometry,
    *,
    x_mm: ArrayLike,
    y_mm: ArrayLike,
    half_x_mm: ArrayLike,
    half_y_mm: ArrayLike,
    mu: ArrayLike,
    angle_rad: ArrayLike = 0.0,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Compute the exact line integrals of Gaussian blobs μ·2^(−ρ²), with ρ the radius in the ellipse of half maximum.

    Float32 sinograms, `(n, n_views, n_bins)`; zero where less than 2⁻²⁵ of the peak's is left.

    Parameters
    ----------
    geometry, x_mm, y_mm, angle_rad, device
        As for `project_ellipses`.
    half_x_mm, half_y_mm, mu
        Half widths at half maximum, mm, positive, and peak linear attenuation, mm⁻¹.
    """
    peak = np.asarray(mu, dtype=np.float64) * np.sqrt(np.pi / np.log(2.0))
    return _project(
        geometry,
        (x_mm, y_mm, half_x_mm, half_y_mm, angle_rad, peak, 0.0),
        reach=GAUSSIAN_REACH,
        shape=lambda square, _: torch.exp2(-square),
        device=device,
    )
