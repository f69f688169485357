#!/usr/bin/env bash
# rich replaces names between colons by pictures also where markup is switched off.
#
# Version: rich 14.2.0, any Python from 3.10 on.
# Expected: Console.print(text, markup=False, highlight=False) prints the text as it is.
# Happens: ":lung:" is printed as a picture. Emoji codes are a switch of their own (emoji=False), on by default.
# Why it matters: names that come from files, such as a modality or a series description, are shown as something else in
#   a command's output, and a log differs from the file that it tells of.
# Output seen:
#   markup=False: 'FBP 🫁'
#   emoji=False: 'FBP :lungs:'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rich==14.2.0
"$folder/venv/bin/python" - <<'PY'
import io
from rich.console import Console


def printed(**how):
    out = io.StringIO()
    Console(file=out, width=80).print("FBP :lungs:", highlight=False, markup=False, **how)
    return out.getvalue().strip()


print(f"markup=False: {printed()!r}")
print(f"emoji=False: {printed(emoji=False)!r}")
assert printed() != "FBP :lungs:" == printed(emoji=False), "this has changed"
PY
