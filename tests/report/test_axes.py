"""What a study varies: the points of every axis, which arms have a place on it, and the figure."""

from pathlib import Path

import pytest

from taskct.report.axes import SEEDS, axes_of, axes_rows, axis_figure
from taskct.report.load import load_run
from taskct.report.run import Run
from tiny_study import run_study, tiny_settings

GRID = {
    "denoiser.arguments.n_layers": [2, 3],
    "training.trainable": ["all", "last:1"],
    "training.n_trials": [None, 8, 24],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of three axes and two seeds."""
    training = {"seeds": [0, 1], "other_head_lambda": None, "blend_lambda": None}
    folder = run_study(tmp_path_factory.mktemp("axes") / "run", tiny_settings(grid=GRID, training=training))
    return load_run(folder.path)


def test_every_setting_of_the_grid_is_an_axis_and_so_are_the_seeds(run: Run) -> None:
    axes = {axis.name: axis for axis in axes_of(run)}
    assert list(axes) == [*GRID, SEEDS]
    places = {name: {p.value: p.place for p in axis.points} for name, axis in axes.items()}
    assert places["denoiser.arguments.n_layers"] == {"2": 2.0, "3": 3.0}
    assert places["training.trainable"] == {"last:1": 0.0, "all": 1.0}
    assert places["training.n_trials"] == {"8": 8.0, "24": 24.0, "48": 48.0}  # null is all of the study's
    assert places[SEEDS] == {"0": 0.0, "1": 1.0}
    assert [axis.numeric for axis in axes.values()] == [True, False, True, False]


def test_an_arm_stands_where_it_differs_in_this_setting_alone(run: Run) -> None:
    """Each point is the arm of the summary, or of the limits, and the study's own arm stands on every axis."""
    limits = {(row.arm, row.seed, row.observer): row.limit for row in run.limits.rows if row.limit is not None}
    figures = {(arm.name, arm.seed): arm for arm in run.summary.arms}
    names = {
        "denoiser.arguments.n_layers": "n_layers",
        "training.trainable": "trainable",
        "training.n_trials": "n_trials",
    }
    own = {"2", "all", "48"}
    for axis in axes_of(run)[:3]:
        found = set()
        for p in axis.points:
            name = p.arm if p.value in own else f"{p.arm} {names[axis.name]}={p.value}"
            shared = p.arm == "mse" and axis.name == "training.trainable"  # one pretraining, whatever is fine-tuned
            arm = figures["mse" if shared else name, p.seed]
            limit = limits.get((arm.name, p.seed, p.observer))
            assert p.auc == (limit or arm.observers[p.observer])
            assert p.in_the_limit == (limit is not None)
            assert p.rmse_hu == arm.image_quality.rmse_hu
            found.add((p.arm, p.seed, p.value))
        n_values = len({value for _, _, value in found})
        assert len(found) == 3 * 2 * n_values  # MSE, control and λ, of two seeds


def test_differences_are_those_to_the_control_of_the_same_variant(run: Run) -> None:
    pairs = {(p.arm, p.versus, p.observer, p.seed): p.delta for p in run.summary.paired}
    pairs |= {(p.arm, p.versus, p.observer, p.seed): p.delta for p in run.limits.paired if p.delta is not None}
    axis = next(axis for axis in axes_of(run) if axis.name == "denoiser.arguments.n_layers")
    deep = [p for p in axis.points if p.value == "3" and p.arm == "lambda=0.9"]
    assert len(deep) == 2 * 4
    for p in deep:
        assert p.delta_auc == pairs["lambda=0.9 n_layers=3", "lambda=0 n_layers=3", p.observer, p.seed]
    assert all(p.delta_auc is None for p in axis.points if p.arm != "lambda=0.9")


def test_rows_hold_every_point_as_numbers(run: Run) -> None:
    rows = axes_rows(run)
    assert len(rows) == sum(len(axis.points) for axis in axes_of(run))
    assert list(rows[0]) == [
        "axis", "value", "place", "arm", "seed", "observer", "in_the_limit", "auc", "auc_low", "auc_high",
        "delta_auc", "delta_auc_low", "delta_auc_high", "rmse_hu", "rmse_hu_low", "rmse_hu_high",
    ]  # fmt: skip
    assert all(row["rmse_hu_low"] <= row["rmse_hu"] <= row["rmse_hu_high"] for row in rows)


def test_the_figure_has_a_line_for_every_arm_and_seed(run: Run, tmp_path: Path) -> None:
    for axis in axes_of(run):
        figure = axis_figure(run, axis, "ho")
        left, middle, right = figure.axes
        n_arms, n_lines = 3, len(axis.lines)
        assert n_lines == (n_arms if axis.name == SEEDS else 2 * n_arms)
        assert len(left.containers) == len(right.containers) == len(middle.containers) == n_lines
        assert left.get_legend() is not None
        assert len(left.get_legend().get_texts()) == n_arms
        figure.savefig(tmp_path / "axis.png")


def test_a_study_that_varies_nothing_has_no_axis(tmp_path: Path) -> None:
    assert axes_of(load_run(run_study(tmp_path / "run", tiny_settings()).path)) == []
