import json

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import Circle
from sklearn.metrics import auc as trapezoid_auc

from taskct.report import load_run, tradeoff_png
from taskct.report.figures import encode, panel_figure, roc_figure, template_figure
from taskct.report.tradeoff import tradeoff_figure


def _bars(ax):
    """Return the ends of all horizontal and vertical error bars of one panel."""
    horizontal, vertical = [], []
    for container in ax.containers:
        assert isinstance(container, ErrorbarContainer)
        for collection in container.lines[2]:
            for (x0, y0), (x1, y1) in collection.get_segments():
                (horizontal if y0 == y1 else vertical).append((x0, x1) if y0 == y1 else (y0, y1))
    return horizontal, vertical


def test_tradeoff_has_both_intervals_of_every_arm(run_folder):
    arms = json.loads((run_folder / "summary.json").read_text())["arms"]
    figure = tradeoff_figure(load_run(run_folder))
    axes = np.array(figure.axes).reshape(4, 2)
    for row, observer in zip(axes, ["slnn_joint", "slnn", "ho", "ho_eye"], strict=True):
        measured = [a for a in arms if observer in a["observers"]]
        aucs = [a["observers"][observer] for a in measured]
        for ax, measure in zip(row, ["rmse_hu", "ssim"], strict=True):
            horizontal, vertical = _bars(ax)
            quality = [a["image_quality"][measure] for a in measured if a["name"] != "low-dose"]
            # The low-dose images lie off the axis; their RMSE and SSIM are written there instead.
            np.testing.assert_allclose(sorted(horizontal), sorted((q["ci_low"], q["ci_high"]) for q in quality))
            np.testing.assert_allclose(sorted(vertical), sorted((a["ci_low"], a["ci_high"]) for a in aucs))


def test_tradeoff_names_every_series(run_folder):
    figure = tradeoff_figure(load_run(run_folder))
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert labels == {
        "trained with λ (eye head)",
        "trained with λ (pixel head)",
        "blend of λ = 0.9 with the control",
        "MSE",
        "low-dose images",
    }


def test_blend_line_runs_from_control_to_trained_arm(run_folder):
    run = load_run(run_folder)
    ax = tradeoff_figure(run).axes[4]
    lines = [
        line for line in ax.lines if line.get_linestyle() == "--" and to_rgba("#D55E00") == to_rgba(line.get_color())
    ]
    (line,) = lines
    ends = [run.arm(name) for name in ("lambda=0", "lambda=0.9")]
    np.testing.assert_allclose(line.get_xdata()[[0, -1]], [a.image_quality.rmse_hu.value for a in ends])
    np.testing.assert_allclose(line.get_ydata()[[0, -1]], [a.observers["ho"].value for a in ends])
    assert len(line.get_xdata()) == 6


def test_labels_do_not_overlap(run_folder):
    figure = tradeoff_figure(load_run(run_folder))
    figure.canvas.draw()
    for ax in figure.axes:
        boxes = [t.get_window_extent() for t in ax.texts if t.get_text().startswith(("λ", "α"))]
        assert len(boxes) >= 4
        for i, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[:i])


def test_every_seed_is_drawn(make_run):
    run = load_run(make_run(n_seeds=3))
    ax = tradeoff_figure(run).axes[4]
    # The low-dose images are one for all seeds, the other eleven arms have three.
    assert len(_bars(ax)[1]) == 1 + 3 * 11


def test_roc_curves_have_the_summary_areas(run_folder):
    run = load_run(run_folder)
    figure = roc_figure(run, ["low-dose", "mse", "lambda=0", "lambda=0.9"])
    panels = [ax for ax in figure.axes if ax.axison]
    assert len(panels) == 4
    for ax, observer in zip(panels, run.observers, strict=True):
        curves = [line for line in ax.lines if not line.get_label().startswith("_")]
        assert len(curves) == (3 if observer == "slnn_joint" else 5)
        for line in curves:
            shown = float(line.get_label().rsplit(": ", 1)[1])
            assert trapezoid_auc(line.get_xdata(), line.get_ydata()) == pytest.approx(shown, abs=0.002)


def test_panel_circles_the_signal_on_present_trials_only(run_folder):
    run = load_run(run_folder)
    figure = panel_figure(run.examples, run.task, ["mse", "lambda=0", "lambda=0.9"], [0, 5])
    images = [ax for ax in figure.axes if ax.images]
    circled = [ax for ax in images if any(isinstance(p, Circle) for p in ax.patches)]
    # Five images and four differences of each trial.
    assert (len(images), len(circled)) == (18, 9)
    circle = next(p for p in circled[0].patches if isinstance(p, Circle))
    assert circle.center == (20, 16)
    np.testing.assert_array_equal(images[0].images[0].get_array(), run.examples.reference[0])
    assert images[0].images[0].get_clim() == (-100, 200)
    differences = [ax.images[0] for ax in images if ax.images[0].get_clim() == (-50, 50)]
    assert len(differences) == 8
    wanted = run.examples.noisy[0] - run.examples.reference[0]
    assert any(np.array_equal(d.get_array(), wanted) for d in differences)


def test_scale_bar_has_its_length(run_folder):
    run = load_run(run_folder)
    figure = panel_figure(run.examples, run.task, ["mse"], [0])
    (text,) = [t.get_text() for ax in figure.axes for t in ax.texts]
    bar = next(p for p in figure.axes[0].patches if not isinstance(p, Circle))
    assert float(text.removesuffix(" mm")) == bar.get_width() * run.task.pixel_mm


def test_template_colours_are_symmetric(run_folder):
    run = load_run(run_folder)
    figure = template_figure(run.examples, ["lambda=0", "lambda=0.9"])
    shown = [ax.images[0] for ax in figure.axes if ax.images]
    assert len(shown) == 2
    for image in shown:
        low, high = image.get_clim()
        assert -low == high == np.abs(image.get_array()).max()


def test_same_data_give_the_same_file(run_folder):
    run = load_run(run_folder)
    uris = [encode(roc_figure(run, ["mse"]), "svg").uri for _ in range(2)]
    assert uris[0] == uris[1]


def test_tradeoff_png(run_folder, tmp_path):
    path = tradeoff_png(run_folder, tmp_path / "tradeoff.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["tradeoff.png"]
