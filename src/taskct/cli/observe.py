"""The command observe: numerical observers on a user's images; what computes is imported when it is called."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from taskct.cli.app import app
from taskct.cli.channel_options import channel_settings
from taskct.cli.observe_options import (
    ImageOptions,
    ObserverOptions,
    OutputOptions,
    PhantomOptions,
    PlanOptions,
    SightOptions,
)
from taskct.cli.option_groups import with_groups
from taskct.cli.terminal import note, print_json, print_line, show_progress
from taskct.errors import UserError
from taskct.observer_registry import observers_needing

if TYPE_CHECKING:
    import torch

    from taskct.apply.observe import EvaluationPlan, Eye, Known, Observation
    from taskct.apply.observe.folds import Folding
    from taskct.apply.observe.inputs import Sources
    from taskct.cli.rods import FloatImages
    from taskct.io.raw_words import RawWords
    from taskct.io.stored_images import StoredImages
    from taskct.io.truth_table import Truth


class _Told(Protocol):
    """What is found, ready for JSON."""

    def as_dict(self) -> dict[str, Any]: ...


Found = TypeVar("Found", bound=_Told)

PIXEL_MM = 0.7  # where images do not tell theirs: 512 pixels over 360 mm


@app.command(name="observe")
@with_groups
def observe_command(
    where: ImageOptions,
    phantom: PhantomOptions,
    sight: SightOptions,
    who: ObserverOptions,
    how: PlanOptions,
    output: OutputOptions,
) -> None:
    """Measure how well numerical observers find a signal in your images.

    As in: taskct observe --present lesion/ --absent plain/ --observers ho,cho-lg,npwe

    Images are .npy, .zarr, TIFF, PNG, NIfTI, MetaImage or NRRD stacks, or folders of such or of DICOM slices. Observers
    learn from one part of them and are tested on the other, or where they are few each is read by observers that were
    trained without it; with --versus the same trials in other images are compared, trial by trial.
    """
    if phantom.phantom is not None:
        _observe_phantom(where, phantom, sight, who, how, output)
        return
    if phantom.roll is not None or phantom.window_mm is not None:
        raise UserError("--roll and --window-mm are for scans of a phantom: give --phantom, or leave them out")
    from taskct.apply.observe import Task, observe
    from taskct.apply.observe.inputs import read_inputs
    from taskct.apply.observe.observation import IMAGES
    from taskct.cli.observation import print_observation

    _check_folder(output.out_folder)
    plan = _plan(how)
    names = [name.strip() for name in who.observers.split(",") if name.strip()]
    known = read_inputs(_sources(where, sight.site))
    size = known.pixel_mm if who.pixel_mm is None else who.pixel_mm
    channels = channel_settings(names, who.channels, who.channel or [], size)
    with show_progress(output.progress) as show:
        found = observe(
            known.images,
            Task(known.truth, sight.mode, sight.window_px, sight.radius_px),
            names,
            versus=known.rivals,
            eye=_eye(who, size),
            known=_told(who, len(known.rivals)),
            plan=plan,
            channels=channels,
            device=_device(output.device, names),
            progress=show.open("observe"),
        )
    found = replace(found, about=found.about | {"cases": known.cases, "paired_by": known.paired, "channels": channels})
    if output.out_folder is not None or output.as_json:
        physics = _physics(known.truth, {IMAGES: known.images, **known.rivals}, size, how.seed)
        found = replace(found, about=found.about | {"physics": physics})
    _show(found, output, _write, print_observation)
    if size is None and any(name.replace("-", "_") in observers_needing("pixel_mm") for name in names):
        note(f"the images do not tell their pixel size: the eye takes {PIXEL_MM} mm; give --pixel-mm")
    _say(found)


def _physics(
    truth: "Truth", sets: "Mapping[str, StoredImages | FloatImages]", pixel_mm: float | None, seed: int
) -> dict[str, Any]:
    """The physics of the images without a signal, of every set of them."""
    from taskct.apply.image_physics import physics_of_sets, some_without_signal

    chosen = some_without_signal(truth.signal_present, next(iter(sets.values())).shape)
    cases = None if truth.cases is None else truth.cases[chosen]
    of_sets = {name: images[chosen] for name, images in sets.items()}
    return physics_of_sets(of_sets, pixel_mm=pixel_mm, cases=cases, seed=seed)


def _observe_phantom(
    where: ImageOptions,
    phantom: PhantomOptions,
    sight: SightOptions,
    who: ObserverOptions,
    how: PlanOptions,
    output: OutputOptions,
) -> None:
    """The same for every rod of a phantom."""
    from taskct.apply.image_physics import physics_of_rods
    from taskct.apply.observe import Observation, Task, observe
    from taskct.apply.observe.inputs import ways_to_read
    from taskct.apply.observe.observation import IMAGES
    from taskct.apply.observe.rods import KnownPhantom, observe_rods, read_scans
    from taskct.apply.phantom import find_layout
    from taskct.cli.rods import print_rods, say_of_rods, write_rods
    from taskct.metrics.frequency_detectability import EyeModel

    _check_folder(output.out_folder)
    told = output.out_folder is not None or output.as_json
    plan, names = _plan(how), [name.strip() for name in who.observers.split(",") if name.strip()]
    present, absent, rivals = _phantom_paths(where, sight, who)
    words = _words(where)
    if len(words) not in (0, 1, 1 + len(rivals)):
        raise UserError(ways_to_read(len(words), 1 + len(rivals)))
    of_set = [words[number if len(words) > 1 else 0] if words else None for number in range(1 + len(rivals))]
    layout = find_layout(str(phantom.phantom))
    scans = read_scans(present, absent, words=of_set[0], case_from=where.case_from)
    others = {
        name: read_scans(*paths, words=of, case_from=where.case_from)
        for (name, paths), of in zip(rivals.items(), of_set[1:], strict=True)
    }
    size = who.pixel_mm if who.pixel_mm is not None else scans.pixel_mm
    if size is None:
        raise UserError("--phantom needs the pixel size, which the images do not tell: give --pixel-mm")
    channels = channel_settings(names, who.channels, who.channel or [], size)
    with show_progress(output.progress) as show:
        progress = show.open("observe")

        def measure(images: "FloatImages", truth: "Truth", versus: "dict[str, FloatImages]") -> Observation:
            found = observe(
                images,
                Task(truth),
                names,
                versus=versus,
                eye=_eye(who, size),
                plan=plan,
                channels=channels,
                device=_device(output.device, names),
                progress=progress,
            )
            more: dict[str, Any] = {"paired_by": "order of images"} if versus else {}
            if told:
                more["physics"] = _physics(truth, {IMAGES: images, **versus}, size, how.seed)
            return replace(found, about=found.about | {"cases": scans.cases, "channels": channels} | more)

        found = observe_rods(scans, others, KnownPhantom(layout, size, phantom.roll, phantom.window_mm), measure)
    seen = EyeModel(who.viewing_distance_mm, who.magnification)
    found = replace(
        found,
        physics=physics_of_rods(found.trials, eye=seen, seed=how.seed),
        physics_of_rivals={name: physics_of_rods(cuts, eye=seen, seed=how.seed) for name, cuts in found.rivals.items()},
    )
    _show(found, output, write_rods, print_rods)
    say_of_rods(found)


def _phantom_paths(
    where: ImageOptions, sight: SightOptions, who: ObserverOptions
) -> tuple[Path, Path | None, dict[str, tuple[Path, Path | None]]]:
    """Scans with and without rods, and those of every rival, by name."""
    if where.present is None or where.images is not None or where.truth is not None:
        raise UserError("--phantom takes scans with rods as --present and, if there are some, without as --absent")
    idle = {
        "--mode": sight.mode != "whole",
        "--window-px": sight.window_px is not None,
        "--site": sight.site is not None,
        "--radius-px": sight.radius_px is not None,
        "--signal": bool(who.signal),
        "--covariance": who.covariance is not None,
        "--pair-by": where.pair_by != "auto",
    }
    if given := [option for option, is_given in idle.items() if is_given]:
        raise UserError(f"{given[0]} is not for --phantom, which cuts its own regions: leave it out")
    n = 1 if where.absent is None else 2
    plain, named = _versus(where)
    wanted = "once, with rods" if n == 1 else "twice, with rods and without"
    if len(plain) % n:
        raise UserError(f"--versus is given {len(plain)} time(s): give it {wanted}, for each set of images")
    groups = [plain[start : start + n] for start in range(0, len(plain), n)]
    several = len(groups) + len(named) > 1
    rivals: dict[str, tuple[Path, Path | None]] = {}
    every = [(f"versus {i}" if several else "versus", tuple(group)) for i, group in enumerate(groups, start=1)]
    for name, paths in (*every, *named):
        if len(paths) != n or name in rivals or name == "images":
            form = "PATH" if n == 1 else "PRESENT,ABSENT"
            raise UserError(f"--versus {name}: give each set of images once, with a name of its own, as {name}={form}")
        rivals[name] = (paths[0], paths[1] if n == 2 else None)
    return where.present, where.absent, rivals


def _device(device: str, names: Sequence[str]) -> "torch.device | str":
    """Where networks are trained; torch, which takes long to load, is left alone where there are none."""
    needed = any(name.replace("-", "_") in observers_needing("device") for name in names)
    if device in ("auto", "cpu") and not needed:
        return "cpu"
    from taskct.machine import resolve_device

    return resolve_device(device)


def _check_folder(folder: Path | None) -> None:
    if folder is not None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists: choose another --out, nothing is overwritten")


def _sources(where: ImageOptions, site: str | None) -> "Sources":
    from taskct.apply.observe.inputs import Sources

    plain, named = _versus(where)
    return Sources(
        where.images,
        where.truth,
        where.present,
        where.absent,
        plain,
        named,
        where.case_from,
        where.pair_by,
        _site(site),
        _words(where),
    )


def _versus(where: ImageOptions) -> tuple[tuple[Path, ...], tuple[tuple[str, tuple[Path, ...]], ...]]:
    """Paths without a name, and those with one."""
    plain, named = [], []
    for text in where.versus or []:
        name, equals, paths = text.partition("=")
        if equals and name.strip() and "/" not in name and not Path(text).exists():
            named.append((name.strip(), tuple(Path(path.strip()) for path in paths.split(","))))
        else:
            plain.append(Path(text))
    return tuple(plain), tuple(named)


def _words(where: ImageOptions) -> "tuple[RawWords, ...]":
    """How words are read, once or by set of images; an option that is given once stands for every set."""
    from taskct.io.raw_words import RawWords

    orders, slopes, offsets = where.byte_order or [], where.hu_slope or [], where.hu_offset or []
    longest = max(len(orders), len(slopes), len(offsets))
    for option, values in (("--byte-order", orders), ("--hu-slope", slopes), ("--hu-offset", offsets)):
        if len(values) not in (0, 1, longest):
            raise UserError(f"{option} is given {len(values)} times and another {longest} times: give both as often")
    whole = ([*values] * longest if len(values) == 1 else values for values in (orders, slopes, offsets))
    return tuple(RawWords(*given) for given in zip_longest(*whole))


def _plan(how: PlanOptions) -> "EvaluationPlan":
    from taskct.apply.observe import EvaluationPlan

    crossed = how.cross_validate is not None or how.repeats is not None
    split = how.train_share is not None or how.training_sets is not None
    if crossed and split:
        option = "--train-share" if how.train_share is not None else "--training-sets"
        raise UserError(f"{option} and cross-validation exclude one another: leave one of them out")
    return EvaluationPlan(
        division="cross" if crossed else "split" if split else "auto",
        folding=_folding(how),
        train_share=0.5 if how.train_share is None else how.train_share,
        n_training_sets=how.training_sets,
        learn=how.learning,
        margin=how.margin,
        specificity=how.specificity,
        confidence=how.confidence,
        seed=how.seed,
        width=how.plan,
    )


def _folding(how: PlanOptions) -> "Folding":
    from taskct.apply.observe.folds import Folding

    text = how.cross_validate
    if text is None or text.isdecimal():
        return Folding(None if text is None else int(text), how.repeats)
    if text != "loo":
        raise UserError(f"--cross-validate is {text!r}; give loo, or a number of folds such as 10")
    return Folding(None, how.repeats, leave_one_out=True)


def _eye(who: ObserverOptions, pixel_mm: float | None) -> "Eye":
    from taskct.apply.observe import Eye

    size = PIXEL_MM if pixel_mm is None else pixel_mm
    return Eye(size, who.viewing_distance_mm, who.magnification, who.internal_noise_hu, who.internal_noise)


def _told(who: ObserverOptions, n_rivals: int) -> "Known":
    from taskct.apply.observe import Known
    from taskct.apply.observe.inputs import read_covariance, read_signal
    from taskct.observers.internal_noise import read_fitted_noise

    covariance = None if who.covariance is None else read_covariance(who.covariance)
    signals = [read_signal(path) for path in who.signal or []]
    if len(signals) not in (0, 1, 1 + n_rivals):
        times = "once" if n_rivals == 0 else f"once, or {1 + n_rivals} times where it differs in --versus"
        raise UserError(f"{len(signals)} times --signal: give it {times}")
    human = None if who.human is None else read_fitted_noise(who.human)
    return Known(covariance, signals[0] if signals else None, tuple(signals[1:]), human)


def _site(text: str | None) -> tuple[float, float] | None:
    """Row and column from text such as `31.5,32`."""
    if text is None:
        return None
    try:
        row, column = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--site is {text!r}; give the row and the column in pixels, such as 31.5,32") from None
    return row, column


def _show(
    found: Found, output: OutputOptions, write: Callable[[Path, Found], None], tell: Callable[[Found], None]
) -> None:
    """Write what is to be written, and print the rest."""
    if output.out_folder is not None:
        write(output.out_folder, found)
    if output.as_json:
        print_json(found.as_dict())
    else:
        tell(found)
        if output.out_folder is not None:
            print_line(f"Written: {output.out_folder}")


def _write(folder: Path, found: "Observation") -> None:
    from taskct.apply.observe.observation import write_observation
    from taskct.cli.observation import roc_curves
    from taskct.cli.observation_page import observation_page
    from taskct.report.figures import draw_roc
    from taskct.report.sections import render_sections

    roc_png = draw_roc(roc_curves(found))
    write_observation(folder, found, roc_png=roc_png, page=render_sections(observation_page(found, roc_png)))


def _say(found: "Observation") -> None:
    """What a reader must know, each thing once, whoever it is about."""
    lines: Sequence[str] = [*found.notes, *(f"{name} has no result: {why}" for name, why in found.failed.items())]
    for line in lines:
        note(line)
    said: dict[str, list[str]] = {}
    for one in found.observers:
        for line in one.notes:
            said.setdefault(line, []).append(one.name)
    for line, of_observers in said.items():
        note(f"{', '.join(of_observers)}: {line}")
