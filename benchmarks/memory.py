"""Peak memory of a command and all the processes it starts.

    .venv/bin/python benchmarks/memory.py .venv/bin/taskct run --preset demo --out /tmp/demo

Linux alone: /proc is read ten times a second. Pages of a process's own (anonymous) are what it costs; pages of files,
as of memory-mapped trials and matrices, are shared by processes and given back when memory is short. Proportional
shares (PSS) count a page once, whoever holds it.
"""

import subprocess
import sys
import time
from pathlib import Path

INTERVAL_S = 0.1


def tree(root):
    """The process and all below it."""
    children = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # gone
            continue
        children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [root]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def memory(process):
    """Proportional share and anonymous pages of a process, MB; None when it is gone."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return None
    table = {line.split(":")[0]: int(line.split()[1]) / 1e3 for line in lines if line}
    return table["Pss"], table["Anonymous"]


def main():
    start = time.perf_counter()
    child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
    whole, own, single, most = 0.0, 0.0, 0.0, 0
    while child.poll() is None:
        seen = [one for process in tree(child.pid) if (one := memory(process)) is not None]
        if seen:
            whole, own = max(whole, sum(pss for pss, _ in seen)), max(own, sum(mine for _, mine in seen))
            single, most = max(single, max(mine for _, mine in seen)), max(most, len(seen))
        time.sleep(INTERVAL_S)
    print(f"{time.perf_counter() - start:.0f} s, up to {most} processes, exit status {child.returncode}")
    print(f"peak of all together: {own:.0f} MB of their own, {whole:.0f} MB with their shares of files")
    print(f"peak of one process: {single:.0f} MB of its own")
    sys.exit(child.returncode)


if __name__ == "__main__":
    main()
