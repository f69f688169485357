"""The tables of a run as LaTeX, set with booktabs."""

from pathlib import Path

from taskct.files import write_text
from taskct.literal import shown
from taskct.report import tables
from taskct.report.run import Run
from taskct.report.tables import Table

FILE = "tables.tex"

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "\N{NO-BREAK SPACE}": "~",
    "−": r"$-$",
    "–": "--",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "→": r"$\to$",
    "²": r"$^2$",
    "³": r"$^3$",
    "½": r"$\frac{1}{2}$",
    "λ": r"$\lambda$",
    "α": r"$\alpha$",
    "Δ": r"$\Delta$",
    "’": "'",
}
"""What LaTeX takes otherwise than it stands, or what its usual fonts lack."""

HEAD = r"""% Written by taskct report --latex. In the preamble: \usepackage{booktabs,graphicx}
% and, with pdflatex, \usepackage[utf8]{inputenc}.
"""


def latex_text(text: str) -> str:
    r"""Write a text so that LaTeX sets it as it is.

    >>> latex_text("λ = 0.9 & 50 %")
    '$\\lambda$ = 0.9 \\& 50 \\%'
    >>> latex_text("\\input{x}")
    '\\textbackslash{}input\\{x\\}'
    """
    kept = "".join(one if one in _COMMANDS else shown(one) for one in text)
    return "".join(_COMMANDS.get(one, one) for one in kept)


def latex_table(table: Table, label: str) -> str:
    """Return one table: a float as wide as the text, with its caption and a label."""
    rows = [" & ".join(map(latex_text, row)) + r" \\" for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_text(table.caption)}}}",
            rf"\label{{tab:{label}}}",
            r"\resizebox{\linewidth}{!}{%",
            rf"\begin{{tabular}}{{{'l' * len(table.columns)}}}",
            r"\toprule",
            " & ".join(map(latex_text, table.columns)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def latex_tables(run: Run) -> str:
    """Return the tables of arms, differences and trade-off, and of the limit and a task path where the run has them."""
    wanted = {
        "arms": tables.arm_table(run),
        "limits": tables.limit_table(run),
        "differences": tables.paired_table(run),
        "limit-differences": tables.limit_paired_table(run),
        "tradeoff": tables.tradeoff_table(run),
        "currencies": tables.currency_table(run),
        "correction": tables.correction_table(run),
    }
    return HEAD + "\n".join(latex_table(table, label) for label, table in wanted.items() if table is not None)


def write_latex(run: Run) -> Path:
    """Write `tables.tex` into the run folder, whole or not at all."""
    path = run.path / FILE
    write_text(path, latex_tables(run))
    return path
