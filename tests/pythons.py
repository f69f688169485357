"""The smoke study and the quick tests on every Python found, with the newest and the lowest allowed dependencies.

`make pythons` runs it, before every release and outside CI: a torch for Linux on x86-64 brings CUDA, gigabytes for each
Python. Where the index of the CPU builds can be reached, `UV_TORCH_BACKEND=cpu make pythons` takes those. Whatever is
installed lies in a temporary folder and uv's cache (`uv cache clean` empties it). Its results are `docs/pythons.md`.
"""

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "pythons.md"
OLDEST = 11  # 3.11, as pyproject.toml says
RESOLUTIONS = {"newest": "highest", "lowest": "lowest-direct"}  # uv's words
EXTRAS = ("dev", "spectrum")
QUICK = (
    "tests/cli/test_start.py",
    "tests/config/test_config.py",
    "tests/trials/test_trials.py",
    "tests/io/test_dicom.py",
    "tests/io/test_nifti.py",
    "tests/io/test_image_stack.py",
    "tests/cli/test_observers.py",
    "tests/denoisers",
)
"""What meets each library once; not whole studies, and nothing that is simulated thousands of times."""
CHOSEN = ("-m", "not slow", "-k", "not (killed or several_processes)")
"""Of their tests: none that starts a dozen processes."""
SHOWN = ("torch", "numpy", "scipy", "zarr", "pydantic", "typer", "scikit-image", "pydicom", "lightning-fabric")
OLD_WITH_NEW = ("-W", "ignore::DeprecationWarning", "-W", "ignore::FutureWarning")
"""For the lowest set: its releases are older than what they stand on, which says that some calls will go."""


HEAD = """# Pythons

`make pythons` writes this page, before every release: the smoke study (`taskct run --preset smoke`) and the quick tests
on every Python found, with taskct installed as a wheel. *newest* is what pip takes today; *lowest* are the lowest
releases that `pyproject.toml` allows and that have a wheel for that Python, on the newest of what they stand on.
Quick are the tests in {quick} that are not marked slow and do not start a dozen processes. CI runs all tests, on one
Python with the newest dependencies.
"""


@dataclass(frozen=True)
class Result:
    """What one Python did with one set of dependencies."""

    python: str
    """Its version, such as "3.12.1"."""
    dependencies: str
    """"newest" or "lowest"."""
    versions: dict[str, str]
    """Of the packages in `SHOWN`."""
    smoke: str
    """"passed", or the last line it said."""
    tests: str
    """Such as "412 passed, 3 skipped", or the last line pytest said."""
    failed: tuple[str, ...]
    """Tests that failed."""
    cpu_s: float
    """CPU time of the smoke study and the tests."""
    date: str
    """Day of the run, UTC."""

    @property
    def good(self) -> bool:
        """Whether all of it passed."""
        return self.smoke == "passed" and not self.failed and " passed" in self.tests


def find_pythons() -> dict[str, Path]:
    """Interpreters from Python 3.11 on by version: those on PATH, and pyenv's; the newest release of each minor one."""
    candidates = [Path(found) for minor in range(OLDEST, 40) if (found := shutil.which(f"python3.{minor}"))]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    candidates += sorted(pyenv.glob("versions/3.*/bin/python"))
    ask = "import sys; v = sys.version_info; print(*v[:3], v.releaselevel)"
    found: dict[tuple[int, ...], Path] = {}
    for python in candidates:
        answer = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False).stdout.split()
        if len(answer) == 4 and answer[3] == "final" and int(answer[1]) >= OLDEST:
            found.setdefault(tuple(map(int, answer[:3])), python)
    newest = {version[:2]: version for version in sorted(found)}
    return {".".join(map(str, version)): found[version] for version in newest.values()}


def install(uv: str, python: Path, dependencies: str, folder: Path) -> Path:
    """A virtual environment with taskct, as its wheel has it, and the dependencies asked for; its interpreter."""
    here, requirements = folder / "venv" / "bin" / "python", folder / "requirements.txt"
    run([uv, "venv", "--quiet", "--clear", "--python", str(python), str(folder / "venv")])
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    # Only wheels: the lowest release that is allowed and that has been built for this Python.
    resolve = [uv, "pip", "compile", "--quiet", "--resolution", RESOLUTIONS[dependencies], "--only-binary", ":all:"]
    run([*resolve, *extras, "--python", str(here), "-o", str(requirements), "pyproject.toml"])
    run([uv, "pip", "install", "--quiet", "--python", str(here), "-r", str(requirements)])
    run([uv, "pip", "install", "--quiet", "--python", str(here), "--no-deps", str(ROOT)])
    return here


def run(command: list[str]) -> None:
    """Do it in the root of the project; ends the program where it fails."""
    subprocess.run(command, cwd=ROOT, check=True)


def try_one(uv: str, version: str, python: Path, dependencies: str, folder: Path) -> Result:
    """Install, run the smoke study from another folder, and run the quick tests."""
    folder.mkdir(parents=True, exist_ok=True)
    here = install(uv, python, dependencies, folder)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["TASKCT_CACHE"] = str(folder.parent / "matrices")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(folder / "smoke", ignore_errors=True)
    smoke = [str(here.with_name("taskct")), "run", "--preset", "smoke", "--out", "smoke"]
    study = subprocess.run(smoke, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    report = folder / "tests.xml"
    report.unlink(missing_ok=True)
    quick = [str(here), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *CHOSEN, *QUICK]
    quick += OLD_WITH_NEW if dependencies == "lowest" else ()
    tests = subprocess.run(quick, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    (folder / "log.txt").write_text(study.stdout + study.stderr + tests.stdout + tests.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Result(
        python=version,
        dependencies=dependencies,
        versions=versions_of(folder / "requirements.txt"),
        smoke="passed" if study.returncode == 0 else last_line(study.stderr),
        tests=re.sub(r" in [\d.]+s.*", "", last_line(tests.stdout)).strip("= "),
        failed=failures(report) if report.is_file() else ("pytest gave no report",),
        cpu_s=round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
    )


def last_line(text: str) -> str:
    """The last line that is not empty."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no word")


def versions_of(requirements: Path) -> dict[str, str]:
    """Versions of the packages in `SHOWN` in a file that uv resolved."""
    pinned = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", requirements.read_text(), re.MULTILINE))
    return {name: pinned.get(name, "–") for name in SHOWN}


def failures(report: Path) -> tuple[str, ...]:
    """The tests of a JUnit file that failed, or could not be collected."""
    cases = ElementTree.parse(report).getroot().iter("testcase")
    bad = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    return tuple(f"{case.get('classname')}::{case.get('name')}".lstrip(":") for case in bad)


def page(results: list[Result]) -> str:
    """The page of results."""
    ordered = sorted(results, key=lambda one: ([int(part) for part in one.python.split(".")], one.dependencies))
    names = " | ".join(SHOWN)
    lines = [
        HEAD.format(quick=", ".join(f"`{path}`" for path in QUICK)),
        f"| Python | dependencies | smoke study | quick tests | CPU, s | day | {names} |",
        f"|---|---|---|---|---|---|{'---|' * len(SHOWN)}",
    ]
    for one in ordered:
        cells = [
            one.python,
            one.dependencies,
            one.smoke,
            one.tests,
            f"{one.cpu_s:.0f}",
            one.date,
            *one.versions.values(),
        ]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    if any(one.failed for one in ordered):
        lines += ["", "## What failed", ""]
        lines += [
            f"- {one.python}, {one.dependencies}: {', '.join(f'`{name}`' for name in one.failed)}"
            for one in ordered
            if one.failed
        ]
    return "\n".join(lines) + "\n"


def read_results(folder: Path) -> list[Result]:
    """The results that lie in a folder."""
    return [Result(**json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))]


def main() -> int:
    """Try every combination asked for, write the page, and return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="3.12", help="Of these Pythons; repeatable.")
    parser.add_argument("--dependencies", action="append", choices=RESOLUTIONS, help="Of these sets; repeatable.")
    parser.add_argument(
        "--folder", type=Path, help="Where to work; results of before stay on the page. Else a new one."
    )
    asked = parser.parse_args()
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        parser.error("uv is missing: pip install uv")
    pythons = {
        version: python
        for version, python in find_pythons().items()
        if not asked.only or version.rpartition(".")[0] in asked.only
    }
    if not pythons:
        parser.error("no such Python is found on PATH or in pyenv")
    with tempfile.TemporaryDirectory(prefix="taskct-pythons-") as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for version, python in pythons.items():
            for dependencies in asked.dependencies or RESOLUTIONS:
                name = f"{version}-{dependencies}"
                one = try_one(uv, version, python, dependencies, folder / name)
                (folder / f"{name}.json").write_text(json.dumps(asdict(one)))
                sys.stdout.write(
                    f"{version} {dependencies}: smoke study {one.smoke}; {one.tests}; {one.cpu_s:.0f} s of CPU\n"
                )
                sys.stdout.writelines(f"  {test}\n" for test in one.failed)
                sys.stdout.flush()
                shutil.rmtree(folder / name / "venv")
        results = read_results(folder)
    PAGE.write_text(page(results))
    return int(not all(one.good for one in results))


if __name__ == "__main__":
    sys.exit(main())
