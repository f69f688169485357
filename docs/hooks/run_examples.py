"""Run the examples and keep what they print and draw for their pages; some minutes, by hand before a release.

    python docs/hooks/run_examples.py [NAME]...

`docs/examples/NAME.txt` is what one prints, `NAME.png`, `NAME-2.png` … what it draws.
"""

import contextlib
import io
import os
import runpy
import sys
import tempfile
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
from PIL import Image

ROOT = Path(__file__).parents[2]
OUT = ROOT / "docs" / "examples"


def main(names: list[str]) -> None:
    """Run those of these names, or all."""
    matplotlib.use("Agg")
    warnings.filterwarnings("ignore", message=".*non-interactive.*")  # of plt.show()
    OUT.mkdir(exist_ok=True)
    for path in sorted((ROOT / "examples").glob("*.py")):
        if not names or path.stem in names:
            run(path)


def run(path: Path) -> None:
    """Run one, in a folder that is thrown away."""
    for old in (*OUT.glob(f"{path.stem}.*"), *OUT.glob(f"{path.stem}-*.png")):
        old.unlink()
    printed, here = io.StringIO(), Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(printed):
        os.chdir(folder)
        try:
            runpy.run_path(str(path), run_name="__main__")
        finally:
            os.chdir(here)
    if printed.getvalue().strip():
        (OUT / f"{path.stem}.txt").write_text(printed.getvalue(), encoding="utf-8")
    for index, number in enumerate(plt.get_fignums(), start=1):
        file = OUT / f"{path.stem}{'' if index == 1 else f'-{index}'}.png"
        plt.figure(number).savefig(file, dpi=110)
        Image.open(file).convert("RGB").quantize(128).save(file, optimize=True)
    plt.close("all")


if __name__ == "__main__":
    main(sys.argv[1:])
