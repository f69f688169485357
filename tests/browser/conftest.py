"""Debian's Chromium, driven by Playwright, on the page of a run whose numbers are drawn."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from taskct.report import write_report

CHROMIUM = shutil.which("chromium")
READ_BY_A_TEST = "willReadFrequently"  # of a warning that tests cause, which read a canvas back; the page does not


def pytest_collection_modifyitems(items):
    missing = [what for what, there in (("playwright", _has("playwright")), ("chromium", CHROMIUM)) if not there]
    for item in items:
        if missing and Path(item.path).parent == Path(__file__).parent:
            item.add_marker(pytest.mark.skip(reason=f"no {' and no '.join(missing)} on this machine"))


def _has(module):
    return importlib.util.find_spec(module) is not None


def _report_conftest():
    """The runs that the report's other tests write."""
    path = Path(__file__).parents[1] / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("report_runs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory):
    """A run with two training seeds, and images of every trained arm."""
    runs = _report_conftest()
    return _with_images(runs, runs.write_run(tmp_path_factory.mktemp("browser") / "run", n_seeds=2))


def _with_images(runs, folder):
    with np.load(folder / "examples.npz") as file:
        arrays = dict(file)
    rng = np.random.default_rng(3)
    shape = arrays["reference"].shape
    for name in runs.RMSE_HU:
        if name != "low-dose" and "alpha" not in name:
            arrays[f"denoised/{name}"] = arrays["reference"] + rng.normal(0, runs.RMSE_HU[name], shape)
    np.savez(folder / "examples.npz", **arrays)
    rings = np.linspace(0.02, 0.5, 12)
    maps = {"frequency_per_mm": rings}
    for name in ("low-dose", "mse", "lambda=0", "lambda=0.9"):
        maps |= {f"{kind}/{name}": rng.uniform(-1, 1, (15, 15)) for kind in ("region_map", "site_map")}
        maps |= {f"{kind}/{name}": np.exp(-4 * rings) for kind in ("nps", "ttf")}
    np.savez(folder / "harm.npz", **maps)
    _forget_digests(folder)
    return folder


def _forget_digests(folder):
    told = json.loads((folder / "provenance.json").read_text())
    told["stages"]["results"].pop("digests", None)
    (folder / "provenance.json").write_text(json.dumps(told))


@pytest.fixture(scope="session")
def page_path(run_folder):
    return write_report(run_folder)


@pytest.fixture(scope="session")
def one_seed_path(tmp_path_factory):
    runs = _report_conftest()
    return write_report(_with_images(runs, runs.write_run(tmp_path_factory.mktemp("browser") / "run")))


@pytest.fixture(scope="session")
def path_folder(tmp_path_factory):
    """A run of one seed with a task path beside λ and blends."""
    runs = _report_conftest()
    return _with_images(runs, runs.write_run(tmp_path_factory.mktemp("browser") / "run", method="both"))


@pytest.fixture(scope="session")
def path_page(path_folder):
    return write_report(path_folder)


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's own sandbox needs rights that a container's root has not.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def open_page(browser, page_path):
    """Opens the page in a context of its own; whatever the console or the network says fails the test."""
    opened, said = [], []

    def open_it(path=page_path, **options):
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        opened.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text) if READ_BY_A_TEST not in message.text else None)
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: said.append(request.url) if _elsewhere(request.url, path) else None)
        page.goto(path.as_uri())
        return page

    yield open_it
    for context in opened:
        context.close()
    assert said == []


def _elsewhere(url, path):
    return not url.startswith("data:") and url != path.as_uri()
