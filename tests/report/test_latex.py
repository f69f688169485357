import re
import shutil
import subprocess

import pytest

from taskct.report import load_run
from taskct.report.latex import latex_table, latex_tables, latex_text, write_latex
from taskct.report.tables import Table

EVIL = "\\input{/etc/passwd} $x_1^2$ & 50 % #1 ~ {λ} <b> \x1b[31m"


def _balanced(text):
    """Braces that are not escaped open and close, and so do environments."""
    depth, environments = 0, []
    for token in re.findall(r"\\begin\{\w+\}|\\end\{\w+\}|\\.|[{}]", text):
        if token.startswith("\\begin"):
            environments.append(token[7:-1])
        elif token.startswith("\\end{"):
            assert environments.pop() == token[5:-1]
        else:
            depth += {"{": 1, "}": -1}.get(token, 0)
            assert depth >= 0
    assert depth == 0
    assert environments == []


def test_text_is_set_as_it_is():
    found = latex_text(EVIL)
    assert found.startswith(r"\textbackslash{}input\{/etc/passwd\} \$x\_1\textasciicircum{}2\$ \& 50 \% \#1")
    assert "\x1b" not in found
    assert not re.search(r"(?<!\\)[&%#_]", found)
    _balanced(found)


def test_tables_hold_the_numbers_of_the_run(run_folder):
    text = latex_tables(load_run(run_folder))
    _balanced(text)
    arm = load_run(run_folder).arm("lambda=0.9")
    rmse = arm.image_quality.rmse_hu
    assert rf"$\lambda$~=~0.9 & {rmse.value:.2f} [{rmse.ci_low:.2f},~{rmse.ci_high:.2f}] &" in text
    assert text.count(r"\begin{table}") == 3  # arms, differences, trade-off; this run has no limits
    for row in re.findall(r"\\midrule\n(.*?)\\bottomrule", text, flags=re.DOTALL):
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in row.splitlines()}) == 1


def test_whole_file_or_none(make_run):
    run = make_run(study=EVIL.replace("\x1b[31m", ""))
    path = write_latex(load_run(run))
    assert path == run / "tables.tex"
    _balanced(path.read_text())


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_compiles(run_folder, tmp_path):
    evil = Table(EVIL, [EVIL, "b"], [[EVIL, EVIL]])
    body = latex_tables(load_run(run_folder)) + latex_table(evil, "evil")
    head = r"\documentclass{article}\usepackage[utf8]{inputenc}\usepackage{booktabs,graphicx}\begin{document}"
    (tmp_path / "paper.tex").write_text(f"{head}\n{body}\n\\end{{document}}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode("utf-8", "replace")[-2000:]
