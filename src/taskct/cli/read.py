"""The command read: reading studies for people; what computes is imported when it is called."""

import secrets
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskct.cli.app import app
from taskct.cli.mrmc_options import AnalysisOptions, ResultOptions
from taskct.cli.option_groups import with_groups
from taskct.cli.read_options import DesignOptions, ServeOptions, WhereOptions
from taskct.cli.terminal import note, plain_table, print_line, print_table
from taskct.errors import UserError

if TYPE_CHECKING:
    from taskct.reading_room.cases import Material
    from taskct.reading_room.design import ReadingPlan
    from taskct.reading_room.folder import StudyFolder

HOST, PORT = "127.0.0.1", 8000

OPTIONS = {"out_folder": "--out", "trust": "--trust-network", "as_json": "--json"}
"""Options that are called otherwise than their fields."""


@app.command()
@with_groups
def read(
    where: WhereOptions, design: DesignOptions, served: ServeOptions, asked: AnalysisOptions, output: ResultOptions
) -> None:
    """Make a reading study of denoised images, serve it to readers' browsers, and tell what came out.

    As in: taskct read RUN --arms low-dose,mse --design 2afc --readers 2 --out STUDY

    Then: taskct read STUDY serves it on, and taskct read STUDY --results tells what came out.

    Each reader has a link of their own. Every reader sees each case in each arm, blinded and in an order of their own.
    Options of analyses go with --results.
    """
    from taskct.reading_room.folder import check_new, is_study

    if where.results:
        _show_results(where, design, served, asked, output)
        return
    _only(asked, "goes with --results: add it, or leave it out")
    _only(output, "goes with --results: add it, or leave it out")
    if not where.source.is_dir():
        raise UserError(f"{where.source}: no such folder; give a run folder, a folder of images or a reading study")
    if is_study(where.source):
        _only(design, f"is of a new study, and {where.source} is made: leave it out, or give a run or images")
        if where.out_folder is not None or where.make_only:
            option = "--out" if where.out_folder is not None else "--make-only"
            raise UserError(f"{option} is of a new study, and {where.source} is made: leave it out")
        _serve(where.source, served)
        return
    path = where.out_folder or _beside(where.source)
    check_new(path)
    if where.make_only:
        _only(served, "is for serving: leave --make-only or it out")
    else:
        from taskct.reading_room.serve import check_extra

        check_extra()
    plan = _plan(design)
    material = _material(where.source, design, plan)
    study = _made(path, material, plan)
    _tell(study, material, plan)
    if not where.make_only:
        _serve(path, served)
    else:
        print_line(f"To serve it: taskct read {path}")


def _beside(source: Path) -> Path:
    named = source if source.name not in ("", "..") else source.resolve()
    return named.with_name(f"{named.name}-reading")


def _show_results(
    where: WhereOptions, design: DesignOptions, served: ServeOptions, asked: AnalysisOptions, output: ResultOptions
) -> None:
    from taskct.cli.read_results import show_results

    for options in (design, served):
        _only(options, "does not go with --results: leave it out")
    if where.make_only:
        raise UserError("--make-only does not go with --results: leave it out")
    show_results(where.source, asked, output, out=where.out_folder)


def _only(options: Any, why: str) -> None:  # noqa: ANN401 - any group of options
    """Raise a `UserError` if an option is given that has no place here."""
    for field in fields(options):
        if getattr(options, field.name) != field.default:
            name = OPTIONS.get(field.name, f"--{field.name.replace('_', '-')}")
            raise UserError(f"{name} {why}")


def _plan(design: DesignOptions) -> "ReadingPlan":
    from taskct.reading_room.design import ReadingPlan
    from taskct.reading_room.links import readers_of

    given: dict[str, Any] = {
        "design": design.design,
        "readers": None if design.readers is None else readers_of(design.readers),
        "break_every": design.break_every,
        "title": design.title,
        "instructions": None if design.instructions is None else _paragraphs(design.instructions),
    }
    return ReadingPlan(
        **{name: value for name, value in given.items() if value is not None},
        n_cases=design.cases,
        n_training=design.training,
        scale=design.scale,
        window_hu=_window(design.window),
        adjustable=not design.fixed_window,
        radius_mm=design.radius_mm,
        question=design.question,
        seed=secrets.randbits(53) if design.seed is None else design.seed,
    )


def _window(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        centre, width = (float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--window is {text!r}; give its centre and its width in HU, such as 60,120") from None
    return centre, width


def _paragraphs(path: Path) -> tuple[str, ...]:
    from taskct.reading import read_text

    found = tuple(" ".join(part.split()) for part in read_text(path).split("\n\n") if part.strip())
    if not found:
        raise UserError(f"{path} holds no text: write what readers are to do, or leave --instructions out")
    return found


def _material(source: Path, design: DesignOptions, plan: "ReadingPlan") -> "Material":
    from taskct.denoisers.import_path import trust_network

    trust_network(*design.trust or ())
    arms = [] if design.arms is None else [name.strip() for name in design.arms.split(",") if name.strip()]
    if design.arms is not None and not arms:
        raise UserError("--arms names none: give names with commas between, or leave it out")
    if (source / "study.yaml").is_file():
        from taskct.reading_room.from_run import material_of_run

        if design.pixel_mm is not None:
            raise UserError("--pixel-mm is for a folder of images; a run knows its own: leave it out")
        return material_of_run(source, plan, arms, device=design.device)
    from taskct.reading_room.from_folder import material_of_folder

    if design.pixel_mm is not None and not 0.0 < design.pixel_mm < 100.0:
        raise UserError(f"--pixel-mm is {design.pixel_mm:g}; it must be above 0 and below 100 mm")
    return material_of_folder(source, plan, arms, pixel_mm=design.pixel_mm)


def _made(path: Path, material: "Material", plan: "ReadingPlan") -> "StudyFolder":
    from taskct.reading_room.making import make_study

    return make_study(path, material, plan)


def _readers(n: int) -> str:
    return "One reader" if n == 1 else f"Each of {n} readers"


def _tell(study: "StudyFolder", material: "Material", plan: "ReadingPlan") -> None:
    """What was made, for who organises it."""
    p, n_arms = study.protocol, len(material.cases.images)
    asks = p.design if not p.scale else f"{p.design}, {p.scale} points"
    print_line(f"Study: {study.path} ({material.source})")
    print_line(f"Arms: {', '.join(material.cases.images)}")
    print_line(
        f"{_readers(len(study.orders))}: {p.n_training} training trials, then {p.n_trials} "
        f"({p.n_trials // n_arms} in each arm; {asks})"
    )
    shown = p.display
    free = "readers may change it" if shown.adjustable else "fixed"
    print_line(f"Window: centre {shown.centre_hu:g}, width {shown.width_hu:g} HU ({free}); seed {plan.seed}")
    for line in material.notes:
        note(line)


def _serve(path: Path, served: ServeOptions) -> None:
    from taskct.reading_room.serve import network_warning, serve

    host, port = served.host or HOST, PORT if served.port is None else served.port
    if (warning := network_warning(host, served.url)) is not None:
        note(warning)
    serve(path, host, port, url=served.url, announce=_announce)
    print_line(f"Stopped; every answer is kept. To serve it on: taskct read {path}; what came out: --results")


def _announce(study: "StudyFolder", address: str) -> None:
    """The link of everyone."""
    table = plain_table("who", "link")
    for reader, token in study.links.readers.items():
        table.add_row(reader, f"{address}/r/{token}/")
    table.add_row("organiser", f"{address}/o/{study.links.organiser}/")
    for column in table.columns:
        column.no_wrap = True
        column.overflow = "ignore"
    print_table(table, f"Links; whoever has one may use it. They stand in {study.path / 'links.json'}")
    print_line("Serving until Ctrl-C; every answer is kept, and the same study may be served again")
