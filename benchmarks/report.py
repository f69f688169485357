"""What the page of a large study costs: 50 arms, 8 observers, 4,000 test trials, from its files to `report.html`.

    .venv/bin/python benchmarks/report.py FINISHED_RUN

A finished run, such as one of the smoke preset, gives the files that do not grow. The large one's arms, scores and
image quality are drawn and written beside it in a temporary folder. Told are CPU seconds and the peak of memory of
a process that does nothing but the page. The peer does less: csv.reader walks through the same two tables once.
"""

import csv
import json
import math
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from taskct.names import ArmName
from taskct.observer_registry import page_labels

N_ARMS, N_TRIALS = 50, 4000
OBSERVERS = [name for name in page_labels() if name not in ("slnn_joint", "pwmf")][:8]
PRICES = (0.005, 0.01, 0.02, 0.05, 0.1)
LAMBDAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def arms():
    """Names: low-dose, MSE, a task path, and every λ in four depths of the network."""
    variants = [(), (("n_layers", "5"),), (("n_layers", "7"),), (("n_layers", "9"),)]
    trained = [str(ArmName("lambda", weight, variant=variant)) for variant in variants for weight in LAMBDAS]
    path = [str(ArmName("path", price=price)) for price in PRICES]
    return ["low-dose", "mse", *path, *trained][:N_ARMS]


def around(value, half):
    return {"value": value, "ci_low": value - half, "ci_high": value + half}


def write_large(small, folder):
    """The files of a large study, drawn."""
    shutil.copytree(small, folder, ignore=shutil.ignore_patterns("trials", "models", "training", "evaluated", "*.html"))
    rng = np.random.default_rng(0)
    names = arms()
    present = np.arange(N_TRIALS) % 2 == 0
    summary = json.loads((folder / "summary.json").read_text())
    template = {arm["name"]: arm for arm in summary["arms"]}
    new, paired, painted = [], [], []
    with (folder / "scores.csv").open("w") as scores, (folder / "quality.csv").open("w") as quality:
        scores.write("arm,lambda,seed,observer,fitted,trial,signal_present,test_statistic,case\n")
        quality.write("arm,lambda,seed,trial,signal_present,mse_hu2,psnr_db,ssim,site_bias_hu,peak_disc_hu,case\n")
        for k, name in enumerate(names):
            weight = ArmName.parse(name).task_weight
            like = template.get(name) or template["lambda=0"]
            rmse = 25.0 if name == "low-dose" else 4.0 + 0.03 * k
            arm = like | {"name": name, "lambda": weight, "alpha": None}
            arm["image_quality"] = like["image_quality"] | {"rmse_hu": around(rmse, 0.02)}
            arm["observers"] = {}
            for observer in OBSERVERS:
                drawn = rng.standard_normal(N_TRIALS) + present * (1.0 + (weight or 0.0))
                arm["observers"][observer] = {"auc": 0.8, "ci_low": 0.78, "ci_high": 0.82}
                for trial, (truth, value) in enumerate(zip(present, drawn.tolist(), strict=True)):
                    scores.write(f"{name},{weight},0,{observer},fresh,{trial},{int(truth)},{value:.9g},{trial}\n")
                delta = {"delta_auc": 0.01, "ci_low": 0.0, "ci_high": 0.02, "p_value": 0.04}
                if name != "lambda=0":
                    paired.append({"arm": name, "versus": "lambda=0", "observer": observer, "seed": 0} | delta)
            for trial, truth in enumerate(present):
                quality.write(f"{name},{weight},0,{trial},{int(truth)},16,40,0.9,{rng.normal():.6g},10,{trial}\n")
            new.append(arm)
            rate = {"false_signal_rate": around(0.1, 0.01), "delta_to_control": None, "excess_present_bias_hu": None}
            painted.append({"arm": name, "seed": 0} | rate)
    summary |= {"arms": new, "paired": paired, "n_test": {"present": N_TRIALS // 2, "absent": N_TRIALS // 2}}
    change(folder, "summary.json", summary)
    change(folder, "hallucination.json", {"arms": painted, "control": "lambda=0"})
    change(folder, "choices.json", {"chosen_arm": "lambda=0.7", "regularization": {}, "validation": [], "at_edge": []})
    change(folder, "tradeoff.json", {"control": "lambda=0", "observers": {}, "prices": []})
    for name in ("limits", "frozen", "efficiency", "harm", "strata", "conventions", "path"):
        (folder / f"{name}.json").unlink(missing_ok=True)
    (folder / "harm.npz").unlink(missing_ok=True)
    with np.load(folder / "examples.npz") as file:
        arrays = {key: values for key, values in file.items() if not key.startswith(("template/", "loss/", "false/"))}
    images = arrays["denoised/lambda=0"]
    arrays |= {f"denoised/{name}": images + rng.normal(0, 2, images.shape) for name in names if name != "low-dose"}
    np.savez(folder / "examples.npz", **{key: values for key, values in arrays.items() if "alpha" not in key})
    told = json.loads((folder / "provenance.json").read_text())
    told["stages"]["results"].pop("digests", None)
    (folder / "provenance.json").write_text(json.dumps(told))


def change(folder, name, new):
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | new))


def walk(folder):
    """Seconds of CPU that csv.reader takes for the two tables."""
    start = time.process_time()
    for name in ("scores.csv", "quality.csv"):
        with (folder / name).open(newline="") as file:
            for _ in csv.reader(file):
                pass
    return time.process_time() - start


def main():
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "summary.json").exists():
        sys.exit("give a finished run: taskct run --preset smoke --out runs/smoke")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "large"
        write_large(Path(sys.argv[1]), folder)
        command = "import sys; from pathlib import Path; from taskct.report import write_report; "
        subprocess.run([sys.executable, "-c", f"{command}write_report(Path(sys.argv[1]))", folder], check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = used.ru_utime + used.ru_stime
        ratio = seconds / walk(folder)
        page_mb = (folder / "report.html").stat().st_size / 1e6
        tables_mb = sum((folder / name).stat().st_size for name in ("scores.csv", "quality.csv")) / 1e6
        n = math.prod((N_ARMS, len(OBSERVERS), N_TRIALS))
        print(f"{N_ARMS} arms × {len(OBSERVERS)} observers × {N_TRIALS:,} trials = {n:,} scores, {tables_mb:.0f} MB")
        print(f"page: {seconds:.1f} s of CPU, {used.ru_maxrss / 1024:.0f} MB at most, {page_mb:.1f} MB on disk")
        print(f"csv.reader walks through the same tables in 1/{ratio:.1f} of that")


if __name__ == "__main__":
    main()
