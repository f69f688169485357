"""A run folder as an object."""

import csv
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

import taskct
from taskct.denoisers.denoiser import denoise
from taskct.metrics.roc import auc
from taskct.simulation.simulate import simulate_store
from taskct.study.models import load_head
from taskct.study.run_folder import RunFolder
from tiny_study import files_of, tiny_run, tiny_settings

__all__ = ["tiny_run"]  # a fixture


@pytest.fixture(scope="module")
def run(tiny_run):
    return taskct.open_run(str(tiny_run.path), device="cpu")


@pytest.fixture(autouse=True)
def _no_figures():
    yield
    plt.close("all")


def test_what_is_no_run_folder(tmp_path):
    for path in (tmp_path, tmp_path / "none", __file__):
        with pytest.raises(taskct.UserError, match="is not a run folder: `taskct simulate` or `taskct run` makes one"):
            taskct.open_run(path)


def test_a_run_that_is_not_evaluated(tmp_path):
    RunFolder(tmp_path / "run", tiny_settings(), device=torch.device("cpu"))
    run = taskct.open_run(tmp_path / "run", device="cpu")
    before = files_of(tmp_path / "run")
    assert repr(run).endswith("study 'tiny', 7 arms, seeds 0, not evaluated yet)")
    assert "not evaluated yet" in run._repr_html_()
    assert repr(run.arms["mse"]) == "OpenedArm('mse', seed=0)"
    for look in (lambda: run.scores, lambda: run.summary, lambda: run.arms["mse"].auc, run.plot_tradeoff):
        with pytest.raises(taskct.UserError, match=r"is missing.*`taskct evaluate"):
            look()
    with pytest.raises(taskct.UserError, match="simulate"):
        run.trials()
    simulate_store(run.folder.trials, run.settings)
    with pytest.raises(taskct.UserError, match=r"no model .*`taskct train`"):
        run.arms["mse"].images()
    assert {name for name in files_of(tmp_path / "run") if not name.startswith("trials")} == set(before)


def test_arms_by_name_and_seed(run):
    assert repr(run).startswith("OpenedRun('")
    assert repr(run).endswith("study 'tiny', 7 arms, seeds 0, 1, evaluated)")
    assert {"low-dose", "mse", "lambda=0", "lambda=0.9", "lambda=0.9 alpha=0.5", "lambda=0.9 head=eye"} <= set(run.arms)
    other = run.arm("lambda=0.9", seed=1)
    assert (other.name, other.seed, other.task_weight, other.alpha) == ("lambda=0.9", 1, 0.9, None)
    assert run.arms["lambda=0.9 alpha=0.5"].alpha == 0.5
    assert repr(other).startswith("OpenedArm('lambda=0.9', seed=1, RMSE ")
    with pytest.raises(taskct.UserError, match=r"no arm 'lambda=0\.8' of seed 0: its arms are low-dose, "):
        run.arm("lambda=0.8")


def test_figures_and_scores_of_an_arm(run):
    arm = run.arms["mse"]
    for observer, one in arm.auc.items():
        assert auc(*arm.scores(observer)) == pytest.approx(one.value, abs=1e-12)
        assert one.ci_low <= one.value <= one.ci_high
    assert arm.rmse_hu == run.results.arm("mse").image_quality.rmse_hu
    with pytest.raises(taskct.UserError, match="mse has no observer 'slnn_joint': choose one of slnn, ho"):
        arm.scores("slnn_joint")


def test_images_are_those_that_were_evaluated(run, tiny_run):
    test = run.trials("test")
    reference = test.reference_regions.astype(np.float64)
    for name in ("low-dose", "mse", "lambda=0.9", "lambda=0.9 alpha=0.5", *tiny_run.settings.denoiser.classical):
        arm = run.arms[name]
        images = arm.images()
        assert images.shape == reference.shape
        assert images.dtype == np.float32
        rmse = np.sqrt(np.mean((images - reference) ** 2))
        assert rmse == pytest.approx(arm.rmse_hu.value, rel=1e-5)
    arm = run.arms["lambda=0.9"]
    statistic = load_head(tiny_run, arm.arm).test_statistic(arm.images())
    present = test.signal_present
    np.testing.assert_allclose(statistic[present], arm.scores("slnn_joint")[0], rtol=1e-4, atol=1e-5)


def test_denoisers_of_arms(run, tiny_run):
    noisy = run.trials().noisy
    denoiser = run.arms["lambda=0.9"].denoiser()
    assert isinstance(denoiser, torch.nn.Module)
    np.testing.assert_array_equal(taskct.denoise(denoiser, noisy), denoise(denoiser.denoiser, noisy, dtype="float32"))
    blend, dialled = run.arms["lambda=0.9 alpha=0.5"].denoiser(), run.arms["lambda=0.9"].denoiser(alpha=0.5)
    assert blend.alpha == dialled.alpha == 0.5
    np.testing.assert_array_equal(taskct.denoise(blend, noisy), taskct.denoise(dialled, noisy))
    assert run.arms["lambda=0.9 alpha=0.5"].denoiser(alpha=0.2).alpha == 0.2
    for name in ("low-dose", *tiny_run.settings.denoiser.classical):
        with pytest.raises(taskct.UserError, match="has no network: `images` gives its images"):
            run.arms[name].denoiser()


@pytest.mark.parametrize("name", ["scores", "quality"])
def test_tables_have_the_columns_of_their_file(run, name):
    table = getattr(run, name)
    with (run.path / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(table) == list(rows[0])
    assert {len(column) for column in table.values()} == {len(rows)}
    assert table["signal_present"].dtype == bool
    assert table["trial"].dtype == table["seed"].dtype == np.int64
    assert table["lambda"].dtype == np.float64
    value = "test_statistic" if name == "scores" else "mse_hu2"
    assert table[value].tolist() == [float(row[value]) for row in rows]
    assert np.isnan(table["lambda"]).tolist() == [row["lambda"] == "" for row in rows]


def test_the_summary_is_a_table(run):
    table = run.summary
    at = (table["arm"] == "lambda=0.9") & (table["seed"] == 1) & (table["observer"] == "ho")
    assert table["value"][at].tolist() == [run.arm("lambda=0.9", 1).auc["ho"].value]
    assert np.isnan(table["lambda"][table["arm"] == "mse"]).all()
    # What pandas.DataFrame takes: one-dimensional columns of one length.
    assert {column.shape for column in table.values()} == {(len(table["arm"]),)}
    assert len(table["arm"]) > 0


def test_a_table_that_is_broken(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    copy = taskct.open_run(tmp_path / "run", device="cpu")
    (tmp_path / "run" / "scores.csv").write_text("arm,trial\nmse\n")
    with pytest.raises(taskct.UserError, match=r"scores\.csv.*`taskct evaluate"):
        copy.scores  # noqa: B018


def test_pictures(run):
    ax = run.plot_tradeoff()
    assert (ax.get_title(), ax.get_ylabel()) == ("fresh HO", "AUC")
    assert ax.get_xlabel() == "RMSE (HU); left is better"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(labels) == len(set(labels))
    _, ax = plt.subplots()
    assert run.plot_tradeoff("slnn", measure="ssim", ax=ax) is ax
    roc = run.plot_roc(arms=["low-dose", "lambda=0.9"])
    one = run.arms["lambda=0.9"].auc["ho"]
    shown = [text.get_text() for text in roc.get_legend().get_texts()]
    assert shown[1].endswith(f"{one.value:.3f} [{one.ci_low:.3f}, {one.ci_high:.3f}]")
    assert len(run.plot_roc("slnn_joint").get_legend().get_texts()) >= 1
    with pytest.raises(taskct.UserError, match="has no observer 'hotelling': choose one of"):
        run.plot_roc("hotelling")
    with pytest.raises(taskct.UserError, match="choose rmse_hu or ssim"):
        run.plot_tradeoff(measure="psnr")


def test_a_notebook_shows_a_table_of_the_arms(run):
    page = run._repr_html_()
    assert page.count("<tr>") == len(run.arms) + 1
    assert "λ\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.9" in page
