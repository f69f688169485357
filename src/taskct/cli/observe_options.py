"""The options of the command observe, in groups; nothing that computes is imported here."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from taskct.apply.observe.choices import CaseFrom, Mode, PairBy
from taskct.cli.options import Confidence, Device, Json, Margin, ProgressOption
from taskct.observer_registry import OBSERVERS, VIEWING_DISTANCE_MM, observers_needing


def _names(observers: Iterable[str]) -> str:
    """Names as the command takes them."""
    return ", ".join(name.replace("_", "-") for name in observers)


OF = {
    what: _names(observers_needing(what))
    for what in ("pixel_mm", "internal_noise", "internal_noise_hu", "covariance", "signal")
}
"""Names of the observers that an option is for."""


@dataclass(frozen=True)
class ImageOptions:
    """Where images and their truth lie."""

    images: Annotated[
        Path | None, Argument(metavar="[IMAGES]", help="All images, with --truth: a file or a folder.")
    ] = None
    present: Annotated[Path | None, Option(metavar="PATH", help="Images with the signal.")] = None
    absent: Annotated[Path | None, Option(metavar="PATH", help="Images without it.")] = None
    truth: Annotated[
        Path | None,
        Option(
            metavar="CSV",
            help="Table with image,signal_present and, if known, case, row_px,column_px, split (train or test).",
        ),
    ] = None
    versus: Annotated[
        list[str] | None,
        Option(
            metavar="PATH",
            help="The same trials imaged otherwise, to compare with: once for IMAGES; twice, present and absent. Or "
            "NAME=PATH, NAME=PRESENT,ABSENT. Repeat it for several such sets.",
        ),
    ] = None
    case_from: Annotated[
        CaseFrom | None,
        Option(
            metavar="WHAT",
            help="What makes images one case: series (default; or a sub-folder), acquisition, or file for none.",
        ),
    ] = None
    pair_by: Annotated[
        PairBy,
        Option(
            metavar="HOW",
            help="Of --versus: auto (truth table, header, equal names, else refused) or name (order of names).",
        ),
    ] = "auto"
    byte_order: Annotated[
        list[str] | None,
        Option(
            metavar="little|big",
            help="Of MetaImage and NRRD words, where a header is wrong: once for all, or for the images and then for "
            "each --versus.",
        ),
    ] = None
    hu_offset: Annotated[
        list[float] | None, Option(metavar="HU", help="HU of the word 0, in place of the header's; as --byte-order.")
    ] = None
    hu_slope: Annotated[
        list[float] | None, Option(metavar="HU", help="HU per step of a word, likewise; as --byte-order.")
    ] = None


@dataclass(frozen=True)
class PhantomOptions:
    """A low-contrast phantom in the images."""

    phantom: Annotated[
        str | None,
        Option(
            metavar="LAYOUT",
            help="The images are scans of this phantom, a name such as cct189 or a YAML file: it is found, "
            "and each rod observed; --absent may be left out.",
        ),
    ] = None
    roll: Annotated[
        float | None, Option(metavar="DEG", help="The phantom's roll, where it is known and need not be found.")
    ] = None
    window_mm: Annotated[
        float | None, Option(metavar="MM", help="Side of the regions about the rods; by default three diameters.")
    ] = None


@dataclass(frozen=True)
class SightOptions:
    """What observers see of an image."""

    mode: Annotated[
        Mode,
        Option(
            metavar="MODE",
            help="whole: the whole image; centred: a window around the known site; scanning: search all sites.",
        ),
    ] = "whole"
    window_px: Annotated[int | None, Option(metavar="N", min=1, help="Side of the window around a site, pixels.")] = (
        None
    )
    site: Annotated[str | None, Option(metavar="ROW,COL", help="The one site of the signal in all images, pixels.")] = (
        None
    )
    radius_px: Annotated[
        float | None, Option(metavar="R", help="Located within, pixels; half the window by default.")
    ] = None


@dataclass(frozen=True)
class ObserverOptions:
    """Which observers, their channels, eyes and noise, and what they are told."""

    observers: Annotated[str, Option(metavar="LIST", help=f"Of {_names(OBSERVERS)}.")] = "ho,cho-lg,npwe"
    channels: Annotated[
        int | None,
        Option(metavar="N", help="Number of channels of cho-lg, cho-sdog, cho-ddog, cho-pca and cho-pls."),
    ] = None
    channel: Annotated[
        list[str] | None,
        Option(
            metavar="NAME=VALUE",
            help="Another parameter of the channels: width_px or width_mm (cho-lg); band_edges, n_orientations, phases "
            "(cho-gabor); sigma0, alpha, q (cho-sdog, cho-ddog); repeatable.",
        ),
    ] = None
    pixel_mm: Annotated[
        float | None, Option(metavar="MM", help=f"Pixel size, for {OF['pixel_mm']}, where the files do not tell.")
    ] = None
    viewing_distance_mm: Annotated[float, Option(metavar="MM", help="From the eye to the display.")] = (
        VIEWING_DISTANCE_MM
    )
    magnification: Annotated[float, Option(metavar="M", help="Size on the display over size in the object.")] = 1.0
    internal_noise: Annotated[
        float,
        Option(
            metavar="R",
            help=f"Of {OF['internal_noise']}, relative to the test statistic's standard deviation within a class.",
        ),
    ] = 0.0
    internal_noise_hu: Annotated[
        float, Option(metavar="HU", help=f"Of {OF['internal_noise_hu']}, per pixel behind the eye.")
    ] = 3.0
    covariance: Annotated[
        Path | None, Option(metavar="NPY", help=f"For {OF['covariance']}: covariance, (pixels, pixels).")
    ] = None
    signal: Annotated[
        list[Path] | None,
        Option(
            "--signal",
            "--known-signal",
            metavar="FILE",
            help=f"Image of the known mean signal, HU: for {OF['signal']}, and for a shorter exact interval of CHO; "
            "again for each --versus, if it differs there.",
        ),
    ] = None
    human: Annotated[
        Path | None, Option(metavar="FILE", help="For human: an observer with the noise of people, from taskct human.")
    ] = None


@dataclass(frozen=True)
class PlanOptions:
    """Who learns from what, and the statistics."""

    train_share: Annotated[
        float | None, Option(metavar="S", help="Share of the trials that observers learn from; 0.5 by default.")
    ] = None
    training_sets: Annotated[
        int | None,
        Option(
            metavar="K",
            min=1,
            max=100,
            help="Divide these trials into K sets, so that intervals hold the training; by default 4 or 3 where the "
            "trials allow, else observers are cross-validated.",
        ),
    ] = None
    cross_validate: Annotated[
        str | None,
        Option(
            metavar="loo|K",
            help="Cross-validate over cases: loo leaves out one of each class at a time, K divides them into K folds.",
        ),
    ] = None
    repeats: Annotated[
        int | None, Option(metavar="R", min=1, help="How often cases are divided anew for cross-validation.")
    ] = None
    learning: Annotated[bool, Option("--learning-curve", help="AUC against training trials, and where it leads.")] = (
        False
    )
    margin: Margin = None
    plan: Annotated[
        float | None,
        Option(metavar="WIDTH", help="How many scans an interval of this width takes, with these as the pilot."),
    ] = None
    specificity: Annotated[float, Option(metavar="S", help="At which sensitivity is given, in (0, 1).")] = 0.9
    confidence: Confidence = 0.95
    seed: Annotated[int, Option(metavar="N", min=0, help="Of every random choice.")] = 0


@dataclass(frozen=True)
class OutputOptions:
    """Where results go, and where they are computed."""

    out_folder: Annotated[
        Path | None,
        Option(
            "--out",
            metavar="FOLDER",
            help="Write observe.html, observe.json, roc.png, scores.csv and a ratings file of each observer.",
        ),
    ] = None
    as_json: Json = False
    device: Device = "auto"
    progress: ProgressOption = None
