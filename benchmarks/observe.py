"""Speed and memory of `taskct observe` on many trials, beside another commit and beside mar-eval's CHO.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/observe.py REF [--mar-eval PYTHON] [--trials 5000] [--rounds 3]

REF's files go into a temporary folder whose `src` comes first on PYTHONPATH. Both builds run the whole command with
three channelized observers on the same two stacks of 128 × 128 pixels, by turns. CPU is that of the process, memory
the most that it held (resident). mar-eval 0.3.1, installed for PYTHON, is given the same Laguerre–Gauss channels,
training and test trials; it runs with the loading of its images, as the command does, and AUCs must agree.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np

from taskct.observers.channels import laguerre_gauss

HERE = Path(__file__).resolve().parents[1]
SIDE = 128
THREE = ("--observers", "cho-lg,cho-gabor,cho-sdog", "--pixel-mm", "0.7")
BY_MAR_EVAL = """
import json, sys
import numpy as np
import mareval
images, present, train, matrix = (np.load(f"{sys.argv[1]}/{name}.npy") for name in ("all", "present", "train", "lg"))
outputs = mareval.apply_channels(images.reshape(len(images), -1), matrix)
w = mareval.cho_template(outputs[train & present], outputs[train & ~present])
statistic = mareval.cho_decision_values(outputs, w)
print(json.dumps(float(mareval.compute_auc(statistic[~train], present[~train]))))
"""


def write_trials(folder, n_trials):
    """Smooth noise and a faint blob: two stacks, and both in one with a table of what is learned from."""
    rng = np.random.default_rng(0)
    distance = np.arange(SIDE) - (SIDE - 1) / 2
    blob = (6.0 * np.exp(-(distance[:, None] ** 2 + distance**2) / 32.0)).astype(np.float32)
    noise = rng.standard_normal((n_trials, SIDE, SIDE), dtype=np.float32) * 40.0
    for axis in (1, 2):
        noise += np.roll(noise, 1, axis=axis)
    present = np.arange(n_trials) < n_trials // 2
    noise[present] += blob
    train = np.arange(n_trials) % 2 == 0
    np.save(folder / "with.npy", noise[present])
    np.save(folder / "without.npy", noise[~present])
    np.save(folder / "all.npy", noise)
    np.save(folder / "present.npy", present)
    np.save(folder / "train.npy", train)
    np.save(folder / "lg.npy", laguerre_gauss((SIDE, SIDE), width_px=SIDE / 5.0))
    rows = (f"{i},{int(present[i])},{'train' if train[i] else 'test'}" for i in range(n_trials))
    (folder / "truth.csv").write_text("\n".join(["image,signal_present,split", *rows, ""]))


def cost(command, source=None):
    """What a command prints, its CPU seconds, and the most memory that it held, MB."""
    path = {} if source is None else {"PYTHONPATH": str(source)}
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:  # a process of its own, so that its usage is that of this one command
        os.close(reader)
        done = subprocess.run(command, env={**os.environ, **path}, capture_output=True, text=True)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        with os.fdopen(writer, "w") as out:
            json.dump([done.stdout, done.stderr[-500:], usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024], out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        said, wrong, cpu_s, peak_mb = json.load(told)
    os.waitpid(pid, 0)
    if not said:
        raise SystemExit(f"{command[:4]} failed: {wrong}")
    return said, cpu_s, peak_mb


def observe(source, *arguments):
    """The command of a build."""
    return cost([sys.executable, "-m", "taskct", "observe", *map(str, arguments)], source)


def auc_of(source, name, *arguments):
    """AUC of an observer, by a run that does not count: with --json the command may do more than with a table."""
    return json.loads(observe(source, *arguments, "--json")[0])["observers"][name]["auc"]


def in_turns(names, run, rounds):
    """Medians of CPU and memory of each, and the median of the rounds' ratios of the first to the last."""
    found = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            found[name].append(run(name))
    medians = {name: [statistics.median(one[i] for one in costs) for i in (1, 2)] for name, costs in found.items()}
    first, last = (found[name] for name in (names[0], names[-1]))
    ratios = [statistics.median(a[i] / b[i] for a, b in zip(first, last, strict=True)) for i in (1, 2)]
    for name, (cpu_s, peak_mb) in medians.items():
        print(f"  {name:12} CPU {cpu_s:6.2f} s   memory {peak_mb:6.0f} MB")
    print(f"  {names[0]} / {names[-1]}: {ratios[0]:.1f} × the time, {ratios[1]:.1f} × the memory")
    return {name: costs[0][0] for name, costs in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ref")
    parser.add_argument("--mar-eval", help="a Python that has mar-eval 0.3.1")
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_trials(folder, given.trials)
        archive = subprocess.run(["git", "archive", given.ref, "src"], cwd=HERE, capture_output=True, check=True).stdout
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(folder / "ref", filter="data")
        sources = {given.ref: folder / "ref" / "src", "here": HERE / "src"}
        stacks = ("--present", folder / "with.npy", "--absent", folder / "without.npy")
        print(f"observe, {given.trials} trials of {SIDE} × {SIDE}, three CHOs")
        in_turns(list(sources), lambda build: observe(sources[build], *stacks, *THREE), given.rounds)
        for observer in THREE[1].split(","):
            before, after = (auc_of(source, observer, *stacks, *THREE) for source in sources.values())
            print(f"  {observer:12} AUC {after:.6f}, {abs(after - before):.1e} from {given.ref}")
        if given.mar_eval:
            print("one CHO with Laguerre–Gauss channels, the same training and test trials")
            table = (folder / "all.npy", "--truth", folder / "truth.csv", "--observers", "cho-lg")
            table += ("--training-sets", "1")
            runs = {
                "mar-eval": lambda: cost([given.mar_eval, "-c", BY_MAR_EVAL, str(folder)]),
                "here": lambda: observe(HERE / "src", *table),
            }
            said = in_turns(list(runs), lambda which: runs[which](), given.rounds)
            ours = auc_of(HERE / "src", "cho-lg", *table)
            print(f"  AUC {ours:.6f} here, {float(said['mar-eval']):.6f} by mar-eval")


if __name__ == "__main__":
    main()
