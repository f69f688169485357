"""From settings to trials: draw objects and signals, scan them, keep the splits apart."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from taskct.config import Settings
from taskct.dicom import read_series
from taskct.errors import UserError
from taskct.scanner.acquire import acquire
from taskct.scanner.fbp import RegionFBP
from taskct.scanner.geometry import ScanGeometry
from taskct.scanner.projector import Projector, project_discs, project_gaussians
from taskct.tasks.backgrounds import Background, Slices, Torso
from taskct.tasks.signals import draw_signals
from taskct.trials import SPLITS, Trials
from taskct.units import MU_WATER_PER_MM, hu_to_mu

Progress = Callable[[int, int, str], None]

OBJECTS_PER_CHUNK = 32
MAX_REDRAWS = 5
TRIALS_PER_BATCH = 64  # bounds the sinograms held at a time
MAX_EDGE_LINE_INTEGRAL = 0.2  # one centimetre of water; a corner of the table may pass
MIN_TISSUE = 0.98  # share of a region within background.region_hu, so that a lesion never hangs in air
SIGNAL_PROJECTORS = {"disc": project_discs, "gaussian": project_gaussians}


@dataclass(frozen=True)
class Source:
    """The backgrounds of one split."""

    background: Background
    n_objects: int
    """Objects to draw; the split's trials are shared out evenly among them."""
    group_name: str
    """What no two splits share: "phantoms", "slices" or "patients"."""


class Scanner:
    """The scanner of a study: its projector and one reconstruction for each place of the region."""

    def __init__(self, settings: Settings, device: torch.device | str) -> None:
        s = settings.scanner
        self.settings = s
        self.region_hu = settings.background.region_hu
        self.geometry = ScanGeometry(s.source_isocenter_mm, s.source_detector_mm, s.n_bins, s.bin_mm, s.n_views)
        self.projector = Projector(self.geometry, n_pixels=s.object_pixels, pixel_mm=s.object_pixel_mm, device=device)
        self.device = device
        axis = (np.arange(s.region_count) - (s.region_count - 1) / 2.0) * s.region_step_mm
        side = settings.trials.region_pixels + 2 * settings.trials.margin_pixels
        self.regions = []
        for y in axis:
            for x in axis:
                try:
                    region = RegionFBP(
                        self.geometry,
                        center_mm=(float(x), float(y)),
                        n_pixels=side,
                        pixel_mm=s.pixel_mm,
                        window=s.filter,
                        device=device,
                    )
                except UserError:
                    if s.region_count == 1:
                        raise
                    continue  # a corner of the lattice beyond the field of view
                self.regions.append(region)
        if not self.regions:
            raise UserError("no place of the region lies in the field of view: lower scanner.region_step_mm")

    def places(self, object_hu: NDArray[np.float32]) -> NDArray[np.int64]:
        """Indices of the regions that lie in the tissue of an object, HU `(n_pixels, n_pixels)`."""
        pitch, middle = self.settings.object_pixel_mm, (len(object_hu) - 1) / 2.0
        inside = []
        for index, region in enumerate(self.regions):
            half = region.n_pixels * region.pixel_mm / 2.0
            bounds = [
                (int(np.floor((c - half) / pitch + middle)), int(np.ceil((c + half) / pitch + middle)) + 1)
                for c in region.center_mm
            ]
            (x0, x1), (y0, y1) = bounds
            if min(x0, y0) < 0 or max(x1, y1) > len(object_hu):
                continue
            part, (low, high) = object_hu[y0:y1, x0:x1], self.region_hu
            if np.mean((part >= low) & (part <= high)) >= MIN_TISSUE:
                inside.append(index)
        return np.array(inside, dtype=np.int64)


def simulate(
    settings: Settings,
    sources: dict[str, Source] | None = None,
    *,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Trials]:
    """Simulate the trials of every split.

    Parameters
    ----------
    settings
        The study.
    sources
        The backgrounds of every split, from `make_sources`; made here if left out.
    device
        Where to project and reconstruct.
    progress
        Called as (trials done, trials in all, split).

    Returns
    -------
    Trials by split; no background stands in two of them.

    Raises
    ------
    UserError
        If the CT series cannot be used, or the region fits nowhere.
    """
    wanted = trials_wanted(settings)
    sources = make_sources(settings) if sources is None else sources
    scanner = Scanner(settings, device)
    n_total, n_done = sum(wanted.values()), 0
    splits = {}
    for number, name in enumerate(SPLITS):
        rng = np.random.default_rng([settings.seed, number])
        parts: list[Trials] = []
        present = rng.permutation(np.arange(wanted[name]) % 2 == 0)
        share = np.diff(np.linspace(0, wanted[name], sources[name].n_objects + 1).astype(int))
        first = 0
        for start in range(0, len(share), OBJECTS_PER_CHUNK):
            count = share[start : start + OBJECTS_PER_CHUNK]
            n = int(count.sum())
            if n == 0:
                continue
            parts.append(_scan(settings, scanner, sources[name].background, rng, count, present[first : first + n]))
            first += n
            n_done += n
            if progress is not None:
                progress(n_done, n_total, name)
        splits[name] = _concatenate(parts)
    return splits


def _scan(
    settings: Settings,
    scanner: Scanner,
    background: Background,
    rng: np.random.Generator,
    count: NDArray[np.int64],
    present: NDArray[np.bool_],
) -> Trials:
    """Draw `len(count)` objects and scan `count` trials of each."""
    objects_hu, case, places = _draw_with_places(scanner, background, rng, len(count))
    if not any(len(p) for p in places):
        raise UserError(
            "the region lies in tissue (background.region_hu) in none of the backgrounds: widen that range, make "
            "trials.region_pixels smaller, or give more places by scanner.region_count and scanner.region_step_mm"
        )
    # An object without a place lends its trials to the next one that has some.
    usable = np.array([i for i, p in enumerate(places) if len(p)])
    owner = usable[np.searchsorted(usable, np.repeat(np.arange(len(count)), count)) % len(usable)]
    region = np.array([rng.choice(places[i]) for i in owner])
    n = len(owner)
    signals = draw_signals(
        rng,
        n,
        contrast_hu=settings.signal.contrast_hu,
        diameter_mm=settings.signal.diameter_mm,
        position_mm=settings.signal.position_mm,
    )
    center = np.array([scanner.regions[i].center_mm for i in region])
    objects = hu_to_mu(torch.from_numpy(objects_hu).to(scanner.device))
    sinogram = scanner.projector.project(objects)
    check_not_truncated(sinogram, scanner.geometry)
    seeds = rng.integers(2**62, size=n)
    side = scanner.regions[0].n_pixels
    noisy, reference = np.empty((2, n, side, side), dtype=np.float32)
    for batch in np.array_split(np.arange(n), -(-n // TRIALS_PER_BATCH)):
        measured = sinogram[torch.from_numpy(owner[batch])]
        lesion = present[batch]
        if lesion.any():
            index = batch[lesion]
            lines = SIGNAL_PROJECTORS[settings.signal.shape](
                scanner.geometry,
                x_mm=center[index, 0] + signals.x_mm[index],
                y_mm=center[index, 1] + signals.y_mm[index],
                diameter_mm=signals.diameter_mm[index],
                mu=signals.contrast_hu[index] / 1000.0 * MU_WATER_PER_MM,
            )
            measured[torch.from_numpy(lesion)] += torch.from_numpy(lines).to(scanner.device)
        for place in np.unique(region[batch]):
            here = np.flatnonzero(region[batch] == place)
            low, target = acquire(
                measured[torch.from_numpy(here)],
                scanner.regions[place],
                i0=settings.scanner.i0,
                dose_fraction=settings.scanner.dose_fraction,
                electronic_noise=settings.scanner.electronic_noise,
                reference=settings.scanner.reference,
                seeds=[int(seed) for seed in seeds[batch[here]]],
            )
            noisy[batch[here]], reference[batch[here]] = low.cpu().numpy(), target.cpu().numpy()
    truth = {
        "case": case[owner],
        "region_x_mm": center[:, 0],
        "region_y_mm": center[:, 1],
        "x_mm": signals.x_mm,
        "y_mm": signals.y_mm,
        "diameter_mm": signals.diameter_mm,
        "contrast_hu": signals.contrast_hu,
    }
    columns = {name: np.asarray(column, dtype=np.float64) for name, column in truth.items()}
    return Trials(noisy=noisy, reference=reference, signal_present=present, truth=columns)


def _draw_with_places(
    scanner: Scanner, background: Background, rng: np.random.Generator, n: int
) -> tuple[NDArray[np.float32], NDArray[np.int64], list[NDArray[np.int64]]]:
    """Objects, their cases and the regions that fit them; an object that none fits is drawn again a few times."""
    drawn = background.draw(rng, n)
    objects_hu, case = drawn.image_hu, drawn.case
    places = [scanner.places(image) for image in objects_hu]
    for _ in range(MAX_REDRAWS):
        empty = np.flatnonzero([len(p) == 0 for p in places])
        if len(empty) == 0:
            break
        again = background.draw(rng, len(empty))
        objects_hu[empty], case[empty] = again.image_hu, again.case
        for i in empty:
            places[i] = scanner.places(objects_hu[i])
    return objects_hu, case, places


def check_not_truncated(sinogram: torch.Tensor, geometry: ScanGeometry) -> None:
    """Refuse objects that reach beyond the detector: filtered backprojection would be wrong without a word.

    Parameters
    ----------
    sinogram
        Line integrals, `(n, n_views, n_bins)`.
    geometry
        The scan.

    Raises
    ------
    UserError
        If an outermost ray meets more than `MAX_EDGE_LINE_INTEGRAL`.
    """
    edge = float(sinogram[..., [0, -1]].max())
    if edge > MAX_EDGE_LINE_INTEGRAL:
        raise UserError(
            f"an object reaches beyond the field of view of {geometry.field_of_view_mm:.0f} mm (the outermost ray "
            f"meets {edge:.2f}, at most {MAX_EDGE_LINE_INTEGRAL:g}): raise scanner.n_bins or scanner.bin_mm, or lower "
            "background.shift_mm"
        )


def _concatenate(parts: list[Trials]) -> Trials:
    return Trials(
        noisy=np.concatenate([p.noisy for p in parts]),
        reference=np.concatenate([p.reference for p in parts]),
        signal_present=np.concatenate([p.signal_present for p in parts]),
        truth={key: np.concatenate([p.truth[key] for p in parts]) for key in parts[0].truth},
    )


def trials_wanted(settings: Settings) -> dict[str, int]:
    """Trials to simulate, by split."""
    return {name: int(getattr(settings.trials, f"n_{name}")) for name in SPLITS}


def make_sources(settings: Settings) -> dict[str, Source]:
    """The backgrounds of every split.

    Phantoms: a new one for every trial. A CT series: blocks of neighbouring slices (slices side by side look alike);
    several series, each in a folder of its own: whole patients.
    """
    b, s, wanted = settings.background, settings.scanner, trials_wanted(settings)
    if b.kind == "torso":
        first = np.concatenate([[0], np.cumsum(list(wanted.values()))])
        return {
            name: Source(
                Torso(
                    n_pixels=s.object_pixels,
                    pixel_mm=s.object_pixel_mm,
                    lump_hu=b.lump_hu,
                    mean_lumps=b.mean_lumps,
                    lump_sigma_mm=b.lump_sigma_mm,
                    n_vessels=b.n_vessels,
                    first_case=int(first[i]),
                ),
                n,
                "phantoms",
            )
            for i, (name, n) in enumerate(wanted.items())
        }
    if b.path is None:
        raise UserError("background.kind is dicom but background.path is not set: --set background.path=FOLDER")
    return _slice_sources(settings, Path(b.path), wanted)


def _slice_sources(settings: Settings, folder: Path, wanted: dict[str, int]) -> dict[str, Source]:
    series = [read_series(part) for part in series_folders(folder)]
    pixel_mm = series[0].pixel_mm
    if any(
        not np.allclose(one.pixel_mm, pixel_mm) or one.image_hu.shape[1:] != series[0].image_hu.shape[1:]
        for one in series
    ):
        raise UserError(f"the series in {folder.name} differ in pixel size or matrix: use series of one kind")
    images = np.concatenate([one.image_hu for one in series])
    names = list(dict.fromkeys(one.patient_key for one in series))
    patient = np.repeat([names.index(one.patient_key) for one in series], [len(one.image_hu) for one in series])
    # What is kept apart between the splits: patients, or the slices of the only one.
    groups = patient if len(names) > 1 else np.arange(len(images))
    blocks = split_groups(int(groups.max()) + 1, wanted)
    sources = {}
    for name, members in blocks.items():
        chosen = np.flatnonzero(np.isin(groups, members))
        background = Slices(
            image_hu=images[chosen],
            pixel_mm=pixel_mm,
            case=groups[chosen].astype(np.int64),
            n_pixels=settings.scanner.object_pixels,
            object_pixel_mm=settings.scanner.object_pixel_mm,
            shift_mm=settings.background.shift_mm,
        )
        n_objects = min(len(chosen) * settings.background.placements, wanted[name])
        sources[name] = Source(background, n_objects, "patients" if len(names) > 1 else "slices")
    return sources


def series_folders(folder: Path) -> list[Path]:
    """The folder itself, or each of its sub-folders when there are several and no DICOM file lies beside them."""
    if not folder.is_dir():
        raise UserError(f"background.path {folder} is no folder: give the folder that holds a CT series")
    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    folders = [entry for entry in entries if entry.is_dir()]
    beside = any(_is_dicom(entry) for entry in entries if entry.is_file() and entry.name != "DICOMDIR")
    return folders if len(folders) > 1 and not beside else [folder]


def _is_dicom(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(132)[128:] == b"DICM"


def split_groups(n_groups: int, wanted: dict[str, int]) -> dict[str, NDArray[np.int64]]:
    """Share out neighbouring groups (slices or patients) in proportion to the square root of the trials wanted.

    Parameters
    ----------
    n_groups
        At least one for every split.
    wanted
        Trials by split.

    Returns
    -------
    Group numbers by split, each a contiguous block of at least one.

    Raises
    ------
    UserError
        If there are fewer groups than splits.

    Examples
    --------
    >>> {k: len(v) for k, v in split_groups(20, {"train": 1600, "validation": 400, "fresh": 400, "test": 900}).items()}
    {'train': 7, 'validation': 4, 'fresh': 4, 'test': 5}
    """
    if n_groups < len(wanted):
        raise UserError(
            f"{n_groups} slices or patients cannot fill {len(wanted)} splits with none in two: "
            f"give {len(wanted)} or more"
        )
    weight = np.sqrt(np.array(list(wanted.values()), dtype=float))
    ends = np.round(np.cumsum(weight) / weight.sum() * n_groups).astype(int)
    for i in range(len(ends)):  # at least one each, from the front and from the back
        ends[i] = max(ends[i], i + 1)
        ends[i] = min(ends[i], n_groups - (len(ends) - 1 - i))
    starts = np.concatenate([[0], ends[:-1]])
    return {name: np.arange(a, b) for name, a, b in zip(wanted, starts, ends, strict=True)}
