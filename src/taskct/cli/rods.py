"""How results of the rods of a phantom are printed, written and put on a page."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from taskct.apply.observe.observation import Observation, write_observation
from taskct.apply.observe.rods import RodObservations
from taskct.apply.phantom import write_picture
from taskct.cli.observation import interval_of, p_text, roc_curves, scans_text
from taskct.cli.observation_page import observation_page
from taskct.cli.physics_section import print_rod_physics, rod_physics_table
from taskct.cli.terminal import interval_text, note, plain_table, print_line, print_table
from taskct.files import whole_folder, write_json
from taskct.metrics.intervals import Interval
from taskct.report.figures import draw_roc, png_picture
from taskct.report.labels import interval
from taskct.report.sections import Captioned, PageSection, SectionsPage, render_sections, write_sections
from taskct.report.tables import NONE, Table

FloatImages = NDArray[np.float32]

EXACT = "with endless training, exact"


def print_rods(found: RodObservations) -> None:
    """Print where the phantom lies, and a line for each rod and observer."""
    print_line(found.found.sentence())
    first = next(iter(found.by_rod.values())).about
    table = plain_table("rod", "observer", numbers=["AUC", EXACT])
    for rod, name, auc, limit in _areas(found):
        table.add_row(rod, name, interval_text(auc), "" if limit is None else interval_text(limit))
    test = first["test"]
    print_table(table, f"AUC, {test['present']} + {test['absent']} regions with and without a rod")
    if rows := list(_differences(found)):
        table = plain_table("rod", "observer", "against", numbers=["difference", "p", "p (Holm)"])
        for rod, name, rival, difference, p, p_holm in rows:
            table.add_row(rod, name, rival, interval_text(difference, sign=True), p_text(p), p_text(p_holm))
        print_table(table, "Differences, scan by scan")
    for name, physics in _physics(found):
        print_rod_physics(physics, f"Physics of the rods, {name}")
    methods = [one.images.method for rod in found.by_rod.values() for one in rod.observers]
    for method in dict.fromkeys(methods):
        print_line(f"Intervals: {method}.")
    for rod, of_rod in found.by_rod.items():
        for one in of_rod.observers:
            if one.scans is not None:
                for needed in one.scans.needed:
                    print_line(f"{rod}, {one.name}: {scans_text(needed, one.scans)}")


def say_of_rods(found: RodObservations) -> None:
    """What a reader must know, each thing once, whatever rod and observer it is about."""
    for line in [*found.found.notes, *_notes(found)]:
        note(line)


def _notes(found: RodObservations) -> Iterator[str]:
    said: dict[str, list[str]] = {}
    for rod, of_rod in found.by_rod.items():
        for line in of_rod.notes:
            said.setdefault(line, []).append(rod)
        for name, why in of_rod.failed.items():
            said.setdefault(f"{name} has no result: {why}", []).append(rod)
        for one in of_rod.observers:
            for line in one.notes:
                said.setdefault(f"{one.name}: {line}", []).append(rod)
    for line, rods in said.items():
        yield line if len(rods) == len(found.by_rod) else f"{'; '.join(rods)}: {line}"


def write_rods(folder: Path, found: RodObservations) -> None:
    """Write `observe.json`, `observe.html`, `phantom.png` and a folder of results for each rod, all or nothing."""
    with whole_folder(folder) as partial:
        write_json(partial / "observe.json", found.as_dict())
        write_picture(partial / "phantom.png", found.scans.present, found.found, found.trials)
        for number, of_rod in enumerate(found.by_rod.values(), start=1):
            _write_rod(partial / f"rod-{number}", of_rod)
        write_sections(partial / "observe.html", rods_page(found, (partial / "phantom.png").read_bytes()))


def _write_rod(folder: Path, of_rod: Observation) -> None:
    roc_png = draw_roc(roc_curves(of_rod))
    write_observation(folder, of_rod, roc_png=roc_png, page=render_sections(observation_page(of_rod, roc_png)))


def rods_page(found: RodObservations, picture_png: bytes) -> SectionsPage:
    """The page of all rods, with the picture of what was found as a PNG file."""
    rows = [
        [rod, name, interval(auc, 3), NONE if limit is None else interval(limit, 3)]
        for rod, name, auc, limit in _areas(found)
    ]
    tables = [Table("AUC of each rod.", ["Rod", "Observer", "AUC", f"AUC {EXACT}"], rows)]
    if differences := list(_differences(found)):
        cells = [
            [rod, name, rival, interval(difference, 3, signed=True), p_text(p), p_text(p_holm)]
            for rod, name, rival, difference, p, p_holm in differences
        ]
        columns = ["Rod", "Observer", "Against", "Difference", "p", "p (Holm)"]
        tables.append(Table("Differences, scan by scan; Holm's adjustment is over all of them.", columns, cells))
    tables += [rod_physics_table(physics, name) for name, physics in _physics(found)]
    picture = Captioned(
        png_picture(picture_png, width_px=480),
        "The average of the scans with the phantom's rim, its rods and the regions that were cut.",
        "What was found: rim, rods, regions with a rod (solid) and without (dashed).",
        drawing=False,
    )
    folders = [
        Markup('<a href="rod-{}/observe.html">{}</a>').format(number, rod)
        for number, rod in enumerate(found.by_rod, start=1)
    ]
    methods = [one.images.method for rod in found.by_rod.values() for one in rod.observers]
    sections = [
        PageSection("By rod", tables=tables),
        PageSection("The phantom", texts=[found.found.sentence()], pictures=[picture], notes=found.found.notes),
        PageSection("More of each rod", texts=[f"Intervals: {how}." for how in dict.fromkeys(methods)], items=folders),
    ]
    if notes := list(_notes(found)):
        sections.append(PageSection("What to know of these results", notes=notes))
    leads = [f"{rod}: " + "; ".join(_lead(of_rod)) for rod, of_rod in found.by_rod.items()]
    return SectionsPage("observe", f"How well the rods of {found.found.layout.name} are found", leads, sections)


def _lead(of_rod: Observation) -> Iterator[str]:
    for one in of_rod.observers:
        yield f"{one.name} AUC {interval(one.images.auc, 3)}"


def _physics(found: RodObservations) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Of the first scans and of every rival, where it was measured."""
    if found.physics:
        yield "the first scans" if found.physics_of_rivals else "all scans", found.physics
    yield from found.physics_of_rivals.items()


def _areas(found: RodObservations) -> Iterator[tuple[str, str, Interval, Interval | None]]:
    for rod, of_rod in found.by_rod.items():
        for one in of_rod.observers:
            yield rod, one.name, one.images.auc, one.images.gaussian_auc


def _differences(found: RodObservations) -> Iterator[tuple[str, str, str, Interval, float, float]]:
    for rod, of_rod in found.by_rod.items():
        p_holm = of_rod.p_holm()
        for one in of_rod.observers:
            for rival in one.rivals:
                delta = rival.difference
                yield rod, one.name, rival.name, interval_of(delta), delta.p_value, p_holm[one.name, rival.name]
