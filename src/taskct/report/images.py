"""The images of a page: small greys that stand in it as they are, and the numbers themselves for the page's script."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from taskct.names import LOW_DOSE, MSE
from taskct.report.families import quoted_arms
from taskct.report.mixtures import mixture_of
from taskct.report.run import Examples, Floats, Run

REFERENCE = "reference"
BUDGET_BYTES = 5_500_000  # of the page, for the numbers of its images: with all else it stays below 10 MB
_STATIC_SIDE = 160  # pixels; an image that stands on the page as it is has no more, at the size it is shown
_STEP_HU = 0.1  # of the whole numbers that the script gets
_PANEL_OF_CLASS = 2  # trials of each class that are shown without the script


@dataclass(frozen=True)
class Grey:
    """One image as the page shows it without a script."""

    label: str
    uri: str
    """8-bit PNG, windowed."""
    width: int
    height: int
    """Pixels of the image that it was made of, in which the ring is given."""
    ring: tuple[float, float, float] | None = None
    """Centre (column, row) and radius of a ring around the signal; None where there is none."""
    bar: tuple[float, str] | None = None
    """Length of a scale bar, pixels, and its text."""


def arm_images(run: Run, name: str) -> Floats | None:
    """An arm's images of the saved trials of the quoted seed, HU, `(k, height, width)`; None where there are none.

    A blend's, and those of an arm of a task path, are worked out where the two that they are mixed of are saved.
    """
    saved = run.examples.denoised
    if name == LOW_DOSE:
        return run.examples.noisy
    if name in saved:
        return saved[name]
    mixed = mixture_of(run, name)
    if mixed is None:
        return None
    start = run.examples.noisy if mixed.start == LOW_DOSE else saved[mixed.start]
    return (1.0 - mixed.share) * start + mixed.share * saved[mixed.end]


def strip(run: Run) -> list[Grey]:
    """The same lesion as reference, low-dose, MSE and every arm that text recommends: the first trial that has one."""
    trial = next(iter(np.flatnonzero(run.examples.signal_present)), 0)
    names = [name for name in run.standing if name in (LOW_DOSE, MSE)]
    names += [name for name in quoted_arms(run) if name != run.tradeoff.control]
    return list(_row(run, int(trial), list(dict.fromkeys(names))))


def _row(run: Run, trial: int, names: Sequence[str]) -> Iterator[Grey]:
    """One trial as the reference and these arms, those without images left out."""
    centre, width = run.task.window_hu
    window = (centre - width / 2.0, centre + width / 2.0)
    ring = ring_of(run.examples, trial)
    reference = run.examples.reference[trial]
    yield grey(REFERENCE, reference, window, ring, scale_bar(run.task.pixel_mm, reference.shape[1]))
    for name in names:
        images = arm_images(run, name)
        if images is not None:
            yield grey(run.label(name), images[trial], window, ring)


@dataclass(frozen=True)
class PanelTrial:
    """One trial of the panel that stands on the page without a script."""

    title: str
    images: list[Grey]
    differences: list[Grey]
    """Minus the reference, in the order of `images` but for the first."""


def panel(run: Run) -> list[PanelTrial]:
    """The first trials of each class as reference, low-dose, MSE, the control and the arms that text recommends."""
    names = list(dict.fromkeys([*run.standing[:-1], *quoted_arms(run)]))
    names = [name for name in names if arm_images(run, name) is not None]
    examples, half = run.examples, run.task.difference_window_hu / 2.0
    found = []
    for present in (True, False):
        for trial in np.flatnonzero(examples.signal_present == present)[:_PANEL_OF_CLASS].tolist():
            ring = ring_of(examples, trial)
            differences = []
            for name in names:
                images = arm_images(run, name)
                assert images is not None
                difference = images[trial] - examples.reference[trial]
                differences.append(grey(f"{run.label(name)} minus reference", difference, (-half, half), ring))
            title = f"Trial {examples.trial[trial]}, signal {'present' if present else 'absent'}"
            found.append(PanelTrial(title, list(_row(run, trial, names)), differences))
    return found


def ring_of(examples: Examples, trial: int) -> tuple[float, float, float] | None:
    """Centre (column, row) and radius of a ring around a trial's signal, pixels; None where it has none."""
    row, column = examples.center_px[trial].tolist()
    if not np.isfinite([row, column]).all():
        return None
    # Wide enough that the ring does not touch the signal.
    return column, row, max(float(examples.diameter_px[trial]), 4.0)


def scale_bar(pixel_mm: float, width: int) -> tuple[float, str]:
    """Length of a scale bar, pixels, and its text: a round number of mm, at most two fifths of the image."""
    fits = [mm for mm in (1, 2, 5, 10, 20, 50, 100) if mm / pixel_mm <= 0.4 * width] or [1]
    return fits[-1] / pixel_mm, f"{fits[-1]} mm"


def grey(
    label: str,
    image: Floats,
    window: tuple[float, float],
    ring: tuple[float, float, float] | None = None,
    bar: tuple[float, str] | None = None,
) -> Grey:
    """An image in a window (low, high), both in its unit, as a PNG; a large one is averaged down."""
    height, width = image.shape
    factor = -(-max(height, width) // _STATIC_SIDE)
    small = image
    if factor > 1:
        cut = image[: height // factor * factor, : width // factor * factor]
        small = cut.reshape(height // factor, factor, width // factor, factor).mean(axis=(1, 3))
    low, high = window
    levels = np.clip((small - low) / (high - low) * 255.0, 0.0, 255.0).round().astype(np.uint8)
    return Grey(label, png_uri(Image.fromarray(levels)), width, height, ring, bar)


def png_uri(image: Image.Image) -> str:
    """An image as the data URI of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@dataclass(frozen=True)
class Raw:
    """Images as the page's script gets them."""

    arms: list[str]
    """Names, in the order of the images after the reference and the low-dose ones."""
    trials: list[int]
    """Positions in `Examples`."""
    step_hu: float
    """HU of one step of the whole numbers."""
    text: str
    """Little-endian 16-bit numbers in base64: arm by arm, trial by trial, row by row."""
    left_out: str
    """What the budget had no room for, as a sentence; empty for nothing."""


def raw_images(run: Run, budget_bytes: int = BUDGET_BYTES) -> Raw:
    """Take as many trials and arms as a budget has room for, the arms that text speaks of and the first trials first.

    An arm that is mixed of two others is left out where they are there: the script works it out.
    """
    examples = run.examples
    n_trials, height, width = examples.reference.shape
    room = budget_bytes // -(-height * width * 2 * 4 // 3)
    arms, core = _by_importance(run)
    trials = _interleaved(examples.signal_present)
    while len(trials) > 1 and len(trials) * (core + 2) > room:
        trials = trials[: max(1, len(trials) // 2)]
    shown = arms[: max(0, room // len(trials) - 2)]
    if room < 3:
        shown, trials = [], []
    left = [f"{len(arms) - len(shown)} of {len(arms)} arms"] if len(shown) < len(arms) else []
    left += [f"{n_trials - len(trials)} of {n_trials} saved trials"] if len(trials) < n_trials else []
    stack = [examples.reference, examples.noisy, *(examples.denoised[name] for name in shown)]
    values = np.stack([images[sorted(trials)] for images in stack]) if trials else np.zeros(0)
    step = max(_STEP_HU, float(np.abs(values).max(initial=0.0)) / 32767.0)
    text = base64.b64encode(np.rint(values / step).astype("<i2").tobytes()).decode()
    said = f"To keep this page small, {' and '.join(left)} are not in the viewer." if left else ""
    return Raw(shown, sorted(trials), step, text, said)


def _by_importance(run: Run) -> tuple[list[str], int]:
    """Arms with images of their own that the script cannot work out, and how many of them text needs."""
    saved = run.examples.denoised
    wanted = [name for name in (*run.standing[:-1], *quoted_arms(run)) if name != LOW_DOSE]
    mixed = {name: found for name in {*saved, *wanted} if (found := mixture_of(run, name)) is not None}
    needed = [end for name in wanted for end in ((mixed[name].start, mixed[name].end) if name in mixed else (name,))]
    core = [name for name in dict.fromkeys(needed) if name in saved]
    others = [name for name in saved if name not in core and name not in mixed]
    return core + others, len(core)


def _interleaved(present: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[int]:
    """Positions of the trials, one of each class in turn."""
    classes = [np.flatnonzero(present).tolist(), np.flatnonzero(~present).tolist()]
    longest = max(map(len, classes))
    return [part[i] for i in range(longest) for part in classes if i < len(part)]
