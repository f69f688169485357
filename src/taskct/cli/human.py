"""The command human: an observer fitted to people; what computes is imported when it is called."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from taskct.cli.app import app
from taskct.cli.channel_options import channel_settings
from taskct.cli.option_groups import with_groups
from taskct.cli.options import Confidence, Device, Json, TrustOption
from taskct.cli.page_target import check_page
from taskct.cli.terminal import (
    ProgressMode,
    interval_text,
    note,
    number_text,
    plain_table,
    print_json,
    print_line,
    print_table,
    show_progress,
)
from taskct.errors import UserError
from taskct.observer_registry import VIEWING_DISTANCE_MM

if TYPE_CHECKING:
    from taskct.apply.human.fit import FitPlan, HumanFit
    from taskct.observers.internal_noise import FittedNoise
    from taskct.progress import Progress

KINDS = "proportional|constant|channels|uniform-channels"


@dataclass(frozen=True)
class PeopleOptions:
    """What people did."""

    source: Annotated[
        Path,
        Argument(
            metavar="TABLE|STUDY",
            help="A CSV table: condition,reader,n_trials,n_correct,present,absent (or auc,n_present,n_absent), and "
            "size_mm, contrast_hu, arm if known; or the folder of a reading study.",
        ),
    ]
    run: Annotated[
        Path | None, Option("--run", metavar="RUN", help="The run folder that the reading study was made of.")
    ] = None
    alternatives: Annotated[
        int, Option(metavar="M", min=2, max=100, help="Images that readers of a table chose from; 2 for an AUC.")
    ] = 2


@dataclass(frozen=True)
class ModelOptions:
    """The observer, its channels and its eye."""

    observer: Annotated[str, Option(metavar="NAME", help="cho-gabor, another channelized observer, npw or npwe.")] = (
        "cho-gabor"
    )
    channels: Annotated[int | None, Option(metavar="N", help="Number of channels, as in taskct observe.")] = None
    channel: Annotated[
        list[str] | None,
        Option(metavar="NAME=VALUE", help="Another parameter of the channels, as in taskct observe; repeatable."),
    ] = None
    pixel_mm: Annotated[float | None, Option(metavar="MM", help="Pixel size, where the images do not tell it.")] = None
    viewing_distance_mm: Annotated[
        float, Option(metavar="MM", help="From the readers' eyes to the display, for npwe.")
    ] = VIEWING_DISTANCE_MM
    magnification: Annotated[float, Option(metavar="M", help="Size on the display over size in the object.")] = 1.0
    folds: Annotated[
        int, Option(metavar="K", min=2, max=100, help="Of a table's images: each is read without having been learned.")
    ] = 5


@dataclass(frozen=True)
class NoiseOptions:
    """The noise that is fitted."""

    noise: Annotated[
        str,
        Option(metavar=KINDS, help="What the noise scales with; all kinds are compared, this one is kept."),
    ] = "proportional"
    law: Annotated[
        str,
        Option(metavar="normal|scores", help="From what the observer's proportion correct follows: its d', or scores."),
    ] = "normal"
    confidence: Confidence = 0.95
    seed: Annotated[int, Option(metavar="N", min=0, help="Of folds and resampling.")] = 0


@dataclass(frozen=True)
class KeepOptions:
    """What is written."""

    out_file: Annotated[
        Path | None,
        Option("--out", metavar="FILE", help="A new JSON file for the fitted observer, for observers.human."),
    ] = None
    page: Annotated[Path | None, Option("--page", metavar="HTML", help="Write a page.")] = None
    as_json: Json = False
    device: Device = "auto"
    trust: TrustOption = None
    progress: Annotated[ProgressMode | None, Option(help="How progress is shown.")] = None


@app.command(name="human")
@with_groups
def human_command(people: PeopleOptions, model: ModelOptions, noise: NoiseOptions, keep: KeepOptions) -> None:
    """Give an observer the internal noise that makes it as good as people were, and tell where the two disagree.

    As in: taskct human conditions.csv --observer cho-gabor --out human.json --page human.html

    Then: taskct run --set observers.human=human.json evaluates every denoiser by it.
    """
    check_page(keep.page)
    from taskct.apply.human.fit import FitPlan
    from taskct.files import write_text
    from taskct.observers.internal_noise import write_fitted_noise

    plan = FitPlan(noise.noise, noise.law, noise.confidence, noise.seed)  # type: ignore[arg-type]  # it checks them
    if keep.out_file is not None and keep.out_file.exists():
        raise UserError(f"{keep.out_file} exists: choose another --out, nothing is overwritten")
    if keep.page is not None and not keep.page.parent.is_dir():
        raise UserError(f"{keep.page.parent} is no folder: choose another --page")
    with show_progress(keep.progress) as show:
        found = _fitted(people, model, plan, keep, show.open("human"))
    if keep.out_file is not None:
        write_text(keep.out_file, write_fitted_noise(found.fitted_noise()))
    if keep.page is not None:
        from taskct.cli.human_page import human_page
        from taskct.report.sections import write_sections

        write_sections(keep.page, human_page(found))
    if keep.as_json:
        print_json(found.as_dict())
        return
    _print(found)
    for name, path in (("Page", keep.page), ("Fitted observer", keep.out_file)):
        if path is not None:
            print_line(f"{name}: {path}")
    for line in found.notes:
        note(line)


def _fitted(
    people: PeopleOptions, model: ModelOptions, plan: "FitPlan", keep: KeepOptions, progress: "Progress"
) -> "HumanFit":
    from taskct.reading_room.folder import is_study

    if people.source.is_dir():
        if not is_study(people.source):
            raise UserError(f"{people.source} is no reading study: give the folder of one, or a CSV table")
        from taskct.cli.human_study import fit_to_study

        return fit_to_study(people, model, plan, keep, progress)
    if people.run is not None:
        raise UserError("--run is for a reading study; a table names its images: leave it out")
    return _fit_to_table(people, model, plan, progress)


def _fit_to_table(people: PeopleOptions, model: ModelOptions, plan: "FitPlan", progress: "Progress") -> "HumanFit":
    from taskct.apply.human.decisions import Decided, decide_crossed, notes_of
    from taskct.apply.human.fit import HumanFit
    from taskct.apply.human.people import read_conditions
    from taskct.apply.observe.inputs import Sources, read_inputs

    table = read_conditions(people.source, people.alternatives)
    noise: FittedNoise | None = None
    found: dict[str, Decided] = {}
    n = len(table.images)
    for number, (condition, (present, absent)) in enumerate(zip(table.people.conditions, table.images, strict=True)):
        progress(number, n, condition.name)
        read = read_inputs(Sources(present=present, absent=absent))
        if noise is None:
            noise = model_of(model, read.pixel_mm, read.images.shape[1:])
        elif model.pixel_mm is None and read.pixel_mm != noise.pixel_mm:
            size = "of unknown size" if read.pixel_mm is None else f"of {read.pixel_mm:g} mm"
            raise UserError(
                f"condition {condition.name!r} has pixels {size}, and the one before it of {noise.pixel_mm:g} mm: give "
                "images of one pixel size, or --pixel-mm where files tell it wrong"
            )
        images = read.images[:]
        try:
            found[condition.name] = decide_crossed(noise, images, read.truth, n_folds=model.folds, seed=plan.seed)
        except UserError as error:
            raise UserError(f"condition {condition.name!r}: {error}") from error
    progress(n, n, "")
    assert noise is not None  # a table has a line
    return HumanFit(table.people, noise, [one.decisions for one in found.values()], plan=plan, notes=notes_of(found))


def model_of(model: ModelOptions, pixel_mm: float | None, shape: tuple[int, ...]) -> "FittedNoise":
    """The observer that is fitted, its settings complete, as yet without noise."""
    from taskct.observers.fresh import registered_name
    from taskct.observers.internal_noise import FittedNoise, without_noise

    size = model.pixel_mm if model.pixel_mm is not None else pixel_mm
    if size is None:
        raise UserError("the images do not tell their pixel size: give --pixel-mm")
    name = registered_name(model.observer)
    settings = dict(channel_settings([name], model.channels, model.channel or [], size).get(name, {}))
    if name == "cho_lg":
        settings.setdefault("width_px", min(shape) / 5.0)  # what a fit on images of another size would not know
    noise = FittedNoise(
        observer=name,
        settings=settings,
        kind="proportional",
        alpha=0.0,
        ci_low=0.0,
        ci_high=None,
        confidence=0.95,
        pixel_mm=size,
        viewing_distance_mm=model.viewing_distance_mm,
        magnification=model.magnification,
    )
    without_noise(noise, size)  # a wrong setting shows before images are read
    return noise


def _print(found: "HumanFit") -> None:
    fit, counts = found.chosen, found.people.counts
    what = "AUC" if found.people.from_areas else "proportion correct"
    print_line(
        f"{found.model.observer} with internal noise of {interval_text(fit.alpha)} ({found.plan.kind}): the {what} of "
        f"{counts.n_readers} reader(s) in {len(found.people.conditions)} condition(s)"
    )
    table = plain_table("condition", numbers=["people", "model", "difference", "p (Holm)"])
    for one in found.by_condition():
        difference = interval_text(one.disagreement.difference, sign=True)
        table.add_row(one.name, interval_text(one.people), f"{one.model:.3f}", difference, f"{one.p_holm:.2g}")
    print_table(table, f"{what}: people, model, and people less model")
    models = plain_table("noise", numbers=["alpha", "left-out RMSE", "AIC", "p of lack of fit"])
    for name, other in found.fits.items():
        goodness = other.goodness
        p = goodness.p_readers if goodness.p_readers == goodness.p_readers else goodness.p_binomial
        alpha = "–" if name in ("none", "efficiency") else interval_text(other.alpha)
        models.add_row(name, alpha, number_text(other.left_out.rmse), f"{other.aic:.1f}", number_text(p))
    print_table(models, "Kinds of noise, and models without")
    efficiency = found.fits["efficiency"].efficiency
    print_line(f"Efficiency of people against the observer without noise: {interval_text(efficiency)}")
