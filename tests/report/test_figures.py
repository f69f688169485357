import base64
import dataclasses
import io
import json

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import Circle
from PIL import Image
from sklearn.metrics import auc as trapezoid_auc

from taskct.metrics.intervals import Interval
from taskct.names import ArmName
from taskct.report import load_run, schema, tradeoff_png
from taskct.report.families import families, quoted_arms
from taskct.report.figures import encode, panel_figure, roc_figure, template_figure
from taskct.report.front import FRONT_LABEL, front_shown, steps
from taskct.report.images import arm_images, grey, raw_images
from taskct.report.tables import front_table
from taskct.report.tradeoff import auc_axis, first_figure, points, tradeoff_figure


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
    labels = {text.get_text() for legend in figure.legends for text in legend.get_texts()}
    assert labels == {
        "trained with λ (eye head)",
        "trained with λ (pixel head)",
        "blend of λ = 0.9 with the control",
        "MSE",
        "low-dose images",
        FRONT_LABEL,
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


@pytest.fixture(scope="module")
def grid_run(run_folder):
    """A run with two depths of network beside its own: every arm but the low-dose images three times."""
    run = load_run(run_folder)
    arms = list(run.summary.arms)
    for depth in ("5", "9"):
        for arm in run.summary.arms:
            if arm.name != "low-dose" and "head" not in arm.name:
                words = arm.name.split()
                name = " ".join([*words, f"n_layers={depth}"])
                arms.append(dataclasses.replace(arm, name=name))
    return dataclasses.replace(run, summary=dataclasses.replace(run.summary, arms=arms))


def test_every_family_has_a_look_of_its_own(grid_run):
    found = families(grid_run)
    names = [name for family in found for name in family.names]
    assert sorted(names) == sorted(arm.name for arm in grid_run.summary.arms if arm.name != "low-dose")
    assert len({family.label for family in found}) == len({family.look for family in found}) == len(found) == 8
    for family in found:
        if family.look.line:  # a line stays in its family: one variant, ends that belong to it
            variants = {ArmName.parse(name).variant for name in family.line}
            assert len(variants) == 1
            assert len({word for name in family.line for word in name.split() if word.startswith("lambda")}) > 1


def test_lines_of_a_grid_do_not_zigzag(grid_run):
    ax = tradeoff_figure(grid_run).axes[4]
    drawn = [line for line in ax.lines if line.get_linestyle() in ("-", "--", ":", "-.") and len(line.get_xdata()) > 2]
    drawn = [line for line in drawn if line not in _front_lines(ax)]
    assert len(drawn) == 6  # λ and blend of each depth; the pixel head has two points
    for line in drawn:
        assert np.all(np.diff(line.get_xdata()) > -0.01)  # within a family RMSE rises with λ and α, but for chance


def test_what_text_speaks_of_has_a_label(run_folder):
    run = load_run(run_folder)
    quoted = [name for name in quoted_arms(run) if name != "lambda=0"]
    assert len(quoted) >= 2
    for ax in tradeoff_figure(run).axes[2:]:
        texts = {text.get_text() for text in ax.texts}
        assert {run.arm(name).label.replace("\N{NO-BREAK SPACE}", "") for name in quoted} <= texts


def test_an_auc_in_the_limit_is_said_on_the_axis(run_folder):
    run = load_run(run_folder)
    assert auc_axis(run, "ho") == "AUC at 1 training trials"
    limit = Interval(0.9, 0.88, 0.92)
    row = schema.LimitRow("lambda=0.9", 0, "ho", 1, run.arm("lambda=0.9").observers["ho"], limit)
    limited = dataclasses.replace(run, limits=schema.Limits([row]))
    assert auc_axis(limited, "ho") == "AUC in the limit of many training trials"
    (point,) = points(limited, ["lambda=0.9"], "ho", "rmse_hu", 0)
    assert (point.auc, point.in_limit) == (limit, True)
    ax = tradeoff_figure(limited).axes[4]
    marks = [bars.lines[0] for bars in ax.containers if to_rgba(bars.lines[0].get_color()) == to_rgba("#0072B2")]
    faces = {len(mark.get_xdata()): mark.get_markerfacecolor() for mark in marks}
    assert faces == {1: "#0072B2", 3: "none"}  # the others of its family are at n, and open


def test_the_numbers_of_the_images_keep_to_a_budget(run_folder):
    run = load_run(run_folder)
    whole = raw_images(run)
    n_trials, side = len(run.examples.trial), run.examples.reference.shape[1]
    assert (whole.left_out, len(whole.trials)) == ("", n_trials)
    numbers = np.frombuffer(base64.b64decode(whole.text), "<i2").reshape(-1, n_trials, side, side)
    assert len(numbers) == 2 + len(whole.arms)
    np.testing.assert_allclose(numbers[0] * whole.step_hu, run.examples.reference, atol=0.051)
    np.testing.assert_allclose(numbers[2] * whole.step_hu, run.examples.denoised[whole.arms[0]], atol=0.051)
    assert not [name for name in whole.arms if "alpha" in name]  # the script works them out
    for share in (0.7, 0.3, 0.05):
        part = raw_images(run, int(share * len(whole.text)))
        assert len(part.text) <= share * len(whole.text)
        assert part.arms == whole.arms[: len(part.arms)]
        assert "are not in the viewer" in part.left_out
        assert len({bool(run.examples.signal_present[k]) for k in part.trials}) == min(2, len(part.trials))
    assert raw_images(run, 10).text == ""


def test_a_blend_without_images_is_worked_out(run_folder):
    run = load_run(run_folder)
    blends = {name: images for name, images in run.examples.denoised.items() if "alpha" not in name}
    blends |= {"lambda=0": run.examples.noisy, "lambda=0.9": run.examples.reference}
    without = dataclasses.replace(run, examples=dataclasses.replace(run.examples, denoised=blends))
    mixed = arm_images(without, "lambda=0.9 alpha=0.2")
    np.testing.assert_allclose(mixed, 0.8 * run.examples.noisy + 0.2 * run.examples.reference)
    assert arm_images(without, "lambda=0.3") is None


def test_a_large_image_is_averaged_down():
    image = np.kron([[0.0, 100.0], [50.0, 25.0]], np.ones((200, 200)))
    found = grey("x", image, (0.0, 100.0))
    assert (found.width, found.height) == (400, 400)
    levels = np.asarray(Image.open(io.BytesIO(base64.b64decode(found.uri.split(",")[1]))))
    assert max(levels.shape) <= 160
    assert [levels[r, c] for r, c in ((0, 0), (0, -1), (-1, 0), (-1, -1))] == [0, 255, 128, 64]


def _with_front(run, observer, front):
    observers = run.tradeoff.observers
    changed = {**observers, observer: dataclasses.replace(observers[observer], front=front)}
    return dataclasses.replace(run, tradeoff=dataclasses.replace(run.tradeoff, observers=changed))


def _front_lines(ax):
    return [line for line in ax.lines if line.get_label() == FRONT_LABEL]


def test_the_front_is_drawn_through_its_arms(run_folder):
    run = load_run(run_folder)
    told = json.loads((run_folder / "tradeoff.json").read_text())["observers"]
    axes = np.array(tradeoff_figure(run).axes).reshape(4, 2)
    for (by_rmse, by_ssim), observer in zip(axes, run.observers, strict=True):
        (line,) = _front_lines(by_rmse)
        assert not _front_lines(by_ssim)  # the front is one of RMSE
        assert line.get_drawstyle() == "steps-post"
        x, y = line.get_data()
        rises = np.r_[True, np.diff(y) > 0]
        wanted = sorted((a["rmse_hu"], a["auc"]["value"]) for a in told[observer]["front"]["arms"] if a["on_front"])
        np.testing.assert_allclose(np.transpose([x[rises], y[rises]]), wanted)
        assert x[-1] == by_rmse.get_xlim()[1]


def test_the_legend_of_the_first_picture_stays_inside(run_folder):
    figure = first_figure(load_run(run_folder))
    figure.canvas.draw()
    assert len(figure.legends) == 2
    boxes = [legend.get_window_extent() for legend in figure.legends]
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
    assert boxes[1].y0 >= figure.axes[0].get_window_extent().y1
    assert not boxes[0].overlaps(boxes[1])


def test_the_band_of_the_front_is_that_of_all_arms():
    def arm(rmse, auc, low, high, best):
        return schema.FrontArm("lambda=0", rmse, Interval(auc, low, high), best)

    # The second arm is beaten, and yet its wide band says that more AUC may be had from its RMSE on.
    arms = [arm(5.0, 0.9, 0.88, 0.92, True), arm(4.5, 0.79, 0.7, 0.93, False), arm(4.0, 0.8, 0.78, 0.82, True)]
    found = steps(schema.Front(in_limit=False, standard_errors=2.4, arms=arms))
    np.testing.assert_array_equal(found.rmse_hu, [4.0, 4.5, 5.0])
    np.testing.assert_array_equal(found.auc, [0.8, 0.8, 0.9])
    np.testing.assert_array_equal(found.low, [0.78, 0.78, 0.88])
    np.testing.assert_array_equal(found.high, [0.82, 0.93, 0.93])


def test_a_front_that_does_not_belong_to_the_marks_is_not_drawn(run_folder):
    run = load_run(run_folder)
    front = run.tradeoff.observers["ho"].front
    assert front_shown(run, "ho") is front
    assert front_table(run) is not None
    without = _with_front(run, "ho", None)
    assert (front_shown(without, "ho"), _front_lines(tradeoff_figure(without).axes[4])) == (None, [])
    others = dataclasses.replace(front, in_limit=True)  # of the limit, where the marks are at n
    assert front_shown(_with_front(run, "ho", others), "ho") is None
    row = schema.LimitRow("lambda=0.9", 0, "ho", 1, front.arms[0].auc, Interval(0.9, 0.88, 0.92))
    mixed = dataclasses.replace(run, limits=schema.Limits([row]))
    assert front_shown(mixed, "ho") is None
    assert front_shown(mixed, "slnn") is not None
    none = dataclasses.replace(run, tradeoff=dataclasses.replace(run.tradeoff, observers={}))
    assert front_table(none) is None


def test_arms_on_the_front_are_marked_in_the_table(run_folder):
    run = load_run(run_folder)
    table = front_table(run)
    for column, observer in enumerate(run.observers, start=2):
        marked = {row[0] for row in table.rows if row[column].endswith("●")}
        front = run.tradeoff.observers[observer].front
        assert marked == {run.arm(arm.arm).label for arm in front.arms if arm.on_front}
        arm = front.arms[0].auc
        shown = f"{arm.value:.3f} [{arm.ci_low:.3f},\N{NO-BREAK SPACE}{arm.ci_high:.3f}]"
        assert any(row[column].startswith(shown) for row in table.rows)
    assert [float(row[1]) for row in table.rows] == sorted(float(row[1]) for row in table.rows)
