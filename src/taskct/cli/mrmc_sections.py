"""A `StudySection` of a reader study in the terminal, on the page and in `--json`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from taskct.apply.reader_study.section import READER_COLUMNS, Drawing, ResultTable, StudySection
from taskct.cli.mrmc_options import ResultOptions
from taskct.cli.terminal import note, plain_table, print_json, print_line, print_lines, print_table
from taskct.files import json_values
from taskct.literal import figure_text
from taskct.report.figures import encode, new_figure, style
from taskct.report.methods import Citations
from taskct.report.sections import Captioned, PageSection, SectionsPage, write_sections
from taskct.report.tables import Table


def show_sections(
    title: str, sections: Sequence[StudySection], output: ResultOptions, *, readers: Sequence[str] = ()
) -> None:
    """Write the page that is wanted of these sections alone, and print them; the page numbers the readers."""
    if output.page is not None:
        names = {name: f"reader {number}" for number, name in enumerate(readers, start=1)}
        write_sections(output.page, sections_page(title, sections, names))
    if output.as_json:
        print_json(sections_json(sections))
        return
    print_sections(sections)
    if output.page is not None:
        print_line(f"Page: {output.page}")


def print_sections(sections: Sequence[StudySection]) -> None:
    """Print what was found; notes come last, on standard error."""
    for section in sections:
        for answer in section.answers:
            print_line(answer)
        for grid in section.grids:
            table = plain_table(*grid.words, numbers=grid.numbers)
            for row in grid.rows:
                table.add_row(*row)
            print_table(table, grid.title)
        for drawing in section.drawings:
            if drawing.in_terminal:
                print_lines({line.name: (line.x, line.y) for line in drawing.lines}, drawing.x_label, drawing.y_label)
    for section in sections:
        for text in section.notes:
            note(text)


def sections_json(sections: Sequence[StudySection]) -> dict[str, Any]:
    """What was found by the name of its section, as `--json` prints it."""
    return {
        section.name: json_values({**section.content, **({"notes": list(section.notes)} if section.notes else {})})
        for section in sections
    }


def page_sections(sections: Sequence[StudySection], names: Mapping[str, str]) -> list[PageSection]:
    """Sections of the page; `names` are what it calls readers."""
    return [
        PageSection(
            section.heading,
            texts=[typeset(answer) for answer in section.answers],
            pictures=[_picture(drawing) for drawing in section.drawings],
            tables=[_table(grid, names) for grid in section.grids],
            notes=anonymous(section.notes, tuple(names)) if any(k != v for k, v in names.items()) else section.notes,
        )
        for section in sections
    ]


def sections_page(title: str, sections: Sequence[StudySection], names: Mapping[str, str]) -> SectionsPage:
    """A page of sections alone, with their methods; the first answers lead it."""
    cite = Citations()
    text = methods_text(sections, cite)
    first, *others = page_sections(sections, names)
    parts = [replace(first, texts=()), *others, PageSection("Methods", texts=[text], items=cite.sources)]
    return SectionsPage("mrmc", title, first.texts, parts)


def typeset(text: str) -> str:
    """The text with minus signs before numbers, and a space that does not break before a percent sign.

    >>> typeset("-0.05 [-0.10, 0.00], 95% of non-inferior").replace("\N{NO-BREAK SPACE}", "_")
    '−0.05 [−0.10, 0.00], 95_% of non-inferior'
    """
    return re.sub(r"(?<=\d) ?%", "\N{NO-BREAK SPACE}%", re.sub(r"(?<![\w.])-(?=[\d.])", "\N{MINUS SIGN}", text))


def anonymous(notes: Sequence[str], names: Sequence[str]) -> list[str]:
    """The notes without those that hold the name of a reader, which tells who somebody is, and how many they are."""
    # As a word of its own: a reader called 1 is not named by "0.1", nor one called r by "reader".
    of_names = [re.compile(rf"(?<![\w.]){re.escape(name)}(?!\w|\.\d)") for name in names]
    kept = [text for text in notes if not any(name.search(text) for name in of_names)]
    left_out = len(notes) - len(kept)
    return kept + ([f"{left_out} more notes name readers: the command shows them in the terminal."] if left_out else [])


def methods_text(sections: Sequence[StudySection], cite: Citations) -> str:
    """What the methods say of these sections, with their sources."""
    sentences = []
    for section in sections:
        for sentence, sources in section.methods:
            sentences.append(f"{sentence.rstrip('.')} {cite(*sources)}." if sources else sentence)
    return " ".join(sentences)


def _table(grid: ResultTable, names: Mapping[str, str]) -> Table:
    n_words = len(grid.words)
    rows = []
    for row in grid.rows:
        # A modality may be called as a reader is: names are replaced in the readers' columns alone.
        words = (
            names.get(cell, cell) if heading in READER_COLUMNS else cell
            for heading, cell in zip(grid.words, row[:n_words], strict=True)
        )
        rows.append([*words, *map(typeset, row[n_words:])])
    return Table(typeset(grid.title), [*grid.words, *grid.numbers], rows)


def _picture(drawing: Drawing) -> Captioned:
    return Captioned(encode(_figure(drawing), "svg"), drawing.title, drawing.title)


def _figure(drawing: Drawing) -> Figure:
    with style():
        figure = new_figure(6.2, 4.4)
        ax = figure.subplots()
        for number, line in enumerate(drawing.lines):
            color, label = f"C{number % 10}", figure_text(line.name)
            ax.plot(line.x, line.y, color=color, label=label, marker="o" if len(line.x) < 12 else "", markersize=3)
            if line.low is not None and line.high is not None:
                ax.fill_between(line.x, line.low, line.high, color=color, alpha=0.15, linewidth=0)
        ax.set(xlabel=drawing.x_label, ylabel=drawing.y_label)
        if np.all([np.all((line.y >= 0.0) & (line.y <= 1.0)) for line in drawing.lines]):
            ax.set_ylim(-0.02, 1.02)
        ax.legend(fontsize=8, frameon=False)
    return figure
