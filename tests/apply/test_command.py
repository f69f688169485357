"""A denoiser that is a command of the user's, through the round trip and on as an arm."""

import sys
from pathlib import Path

import pytest

from command_line import Call, call
from taskct.apply.round_trip import DenoiserCommand, check_commands
from taskct.errors import UserError
from taskct.study.imports import import_card
from taskct.study.run_folder import RunFolder
from tiny_study import tiny_yaml

__all__ = ["call"]  # a fixture

BOX = """
import sys
from pathlib import Path
import numpy as np
from scipy.ndimage import gaussian_filter
source, target = map(Path, sys.argv[1:])
for file in source.rglob("*.npy"):
    images = np.load(file)
    np.save(target / file.name, gaussian_filter(images, (0, 1, 1)).astype(np.float32))
print("done")
"""


def test_what_a_command_line_says() -> None:
    found = DenoiserCommand.parse("box='my program' --x=1 {in}/images '{out}'")
    assert found.name == "box"
    assert found.words == ("my program", "--x=1", "{in}/images", "{out}")
    assert found.filled({"{in}": Path("/a b"), "{out}": Path("/c")}) == ["my program", "--x=1", "/a b/images", "/c"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prog {in} {out}", "give NAME="),
        ("Box=prog {in} {out}", "small letters"),
        ("../x=prog {in} {out}", "small letters"),
        ("box=prog {in}", r"lacks \{out\}"),
        ("box=prog {out}", r"lacks \{in\}"),
        ("box=prog '{in} {out}", "quote"),
        ("box=", "lacks"),
    ],
)
def test_what_is_no_command(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        DenoiserCommand.parse(text)


def test_two_of_one_name_are_refused() -> None:
    one = DenoiserCommand.parse("box=prog {in} {out}")
    with pytest.raises(UserError, match="twice"):
        check_commands([one, one])


def test_a_command_becomes_an_arm_once(tmp_path: Path, call: Call) -> None:
    script = tmp_path / "box.py"
    script.write_text(BOX)
    study = tiny_yaml(tmp_path / "study.yaml", training={"method": "none"})
    line = f"box={sys.executable} {script} {{in}} {{out}}"
    given = "run", study, "--out", tmp_path / "run", "--device", "cpu", "--progress", "none", "--workers", 1
    code, _, err = call(*given, "--command", line)
    assert code == 0, err
    run = RunFolder(tmp_path / "run", None, device=None)  # type: ignore[arg-type] - nothing is computed
    card = import_card(run, "box")
    assert card["command"].endswith("'{in}' '{out}'")
    assert (run.path / "logs" / "command_box.txt").read_text() == "done\n"
    assert (run.path / "report.html").is_file()
    when = (run.path / "imported" / "box" / "test.npy").stat().st_mtime_ns
    script.unlink()  # what is done is not done again
    assert call(*given, "--command", line)[0] == 0
    assert call(*given)[0] == 0  # and stays an arm where the command is not given
    assert (run.path / "imported" / "box" / "test.npy").stat().st_mtime_ns == when
    copy = tmp_path / "copy.py"
    copy.write_text("import shutil, sys\nshutil.copytree(sys.argv[1], sys.argv[2], dirs_exist_ok=True)\n")
    failing = f"bad={sys.executable} -c 'import sys; sys.exit(\"no licence\")' {{in}} {{out}}"
    for wrong, words in (
        ("box=other {in} {out}", "another command"),
        (failing, "ended with status 1 (no licence)"),
        ("gone=/no/such/program {in} {out}", "cannot be started"),
        (f"idle={sys.executable} -c 0 {{in}} {{out}}", "taskct: images of --command idle: no image in it"),
        (f"same={sys.executable} {copy} {{in}} {{out}}", "themselves"),
    ):
        code, _, err = call(*given, "--command", wrong)
        assert code == 2
        assert words in err.splitlines()[-1]
        assert "--accept" not in err  # which `run` has not
    assert list((run.path / "exported").iterdir()) == []  # keys to images that are gone
    assert sorted(one.name for one in (run.path / "imported").iterdir()) == ["box"]
