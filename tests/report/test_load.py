import json
import shutil

import numpy as np
import pytest

from taskct import __version__
from taskct.errors import UserError
from taskct.report import load_run

FILES = [
    "summary.json", "scores.csv", "quality.csv", "choices.json", "tradeoff.json", "hallucination.json", "task.json",
    "examples.npz", "study.yaml", "provenance.json",
]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_missing_file_says_what_to_run(make_run, name):
    run = make_run()
    (run / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing; run `taskct evaluate .*run`") as caught:
        load_run(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_broken_file_is_named_in_one_line(make_run, name):
    run = make_run()
    (run / name).write_bytes(b"a: [\xff\n{")
    with pytest.raises(UserError, match=f"{name}:? .*taskct evaluate") as caught:
        load_run(run)
    assert "\n" not in str(caught.value)


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["summary.json", "scores.csv", "quality.csv"])
def test_a_result_that_was_changed_is_refused(written, tmp_path, name):
    run = shutil.copytree(written(), tmp_path / "run")
    load_run(run)
    content = (run / name).read_bytes()
    place = content.rindex(b"1")
    (run / name).write_bytes(content[:place] + b"2" + content[place + 1 :])
    with pytest.raises(UserError, match=f"{name}.*taskct evaluate"):
        load_run(run)


def _edit(run, name, change):
    content = json.loads((run / name).read_text())
    change(content)
    (run / name).write_text(json.dumps(content))


def test_number_without_interval_is_located(make_run):
    run = make_run()
    _edit(run, "summary.json", lambda s: s["arms"][2]["image_quality"]["ssim"].pop("ci_low"))
    with pytest.raises(UserError, match=r"arms\.2\.image_quality\.ssim\.ci_low"):
        load_run(run)


def test_interval_upside_down(make_run):
    run = make_run()
    _edit(run, "summary.json", lambda s: s["arms"][0]["observers"]["ho"].update(ci_low=0.9, ci_high=0.8))
    with pytest.raises(UserError, match=r"arms\.0\.observers\.ho.*above"):
        load_run(run)


def test_newer_schema_is_refused(make_run):
    run = make_run()
    _edit(run, "summary.json", lambda s: s.update(schema=2))
    with pytest.raises(UserError, match="schema"):
        load_run(run)


def test_chosen_arm_must_exist(make_run):
    run = make_run()
    _edit(run, "choices.json", lambda c: c.update(chosen_arm="lambda=0.4"))
    with pytest.raises(UserError, match=r"lacks the arm 'lambda=0\.4'"):
        load_run(run)


@pytest.mark.parametrize("name", ["choices.json", "tradeoff.json"])
def test_quoted_seed_must_be_trained(make_run, name):
    run = make_run()
    _edit(run, name, lambda c: c.update(seed=4))
    with pytest.raises(UserError, match=rf"{name} quotes seed 4, of which summary\.json has no arm"):
        load_run(run)


def test_files_that_quote_unlike_seeds(make_run):
    run = make_run(n_seeds=2)
    _edit(run, "tradeoff.json", lambda c: c.update(seed=1))
    with pytest.raises(UserError, match=r"tradeoff\.json quotes seed 1, choices\.json seed 0"):
        load_run(run)


def test_arm_without_false_signals(make_run):
    run = make_run()
    _edit(run, "hallucination.json", lambda h: h["arms"].pop())
    with pytest.raises(UserError, match=r"hallucination\.json lacks the arm"):
        load_run(run)


def test_false_signals_against_another_control(make_run):
    run = make_run()
    _edit(run, "hallucination.json", lambda h: h.update(control="mse"))
    with pytest.raises(UserError, match=r"hallucination\.json has the control 'mse'"):
        load_run(run)


def test_p_value_may_be_null(make_run):
    run = make_run()
    _edit(run, "summary.json", lambda s: s["paired"][0].update(p_value=None))
    assert np.isnan(load_run(run).summary.paired[0].p_value)


def test_arm_without_scores(make_run):
    run = make_run()
    lines = (run / "scores.csv").read_text().splitlines()
    (run / "scores.csv").write_text("\n".join(line for line in lines if not line.startswith("mse,")))
    with pytest.raises(UserError, match="lacks arm 'mse'"):
        load_run(run)


def test_score_that_is_no_number(make_run):
    run = make_run()
    text = (run / "scores.csv").read_text().splitlines()
    column = text[0].split(",").index("test_statistic")
    cells = text[5].split(",")
    text[5] = ",".join([*cells[:column], "nan", *cells[column + 1 :]])
    (run / "scores.csv").write_text("\n".join(text))
    with pytest.raises(UserError, match="not finite"):
        load_run(run)


def test_pickled_examples_are_refused(make_run):
    run = make_run()
    np.savez(run / "examples.npz", trial=np.array([{}], dtype=object))
    with pytest.raises(UserError, match=r"examples\.npz"):
        load_run(run)


def test_images_of_unlike_shape(make_run):
    run = make_run()
    with np.load(run / "examples.npz") as file:
        arrays = dict(file)
    arrays["denoised/mse"] = arrays["denoised/mse"][:, :-1]
    np.savez(run / "examples.npz", **arrays)
    with pytest.raises(UserError, match="denoised/mse"):
        load_run(run)


def test_scores_agree_with_the_file(run_folder):
    run = load_run(run_folder)
    rows = [line.split(",") for line in (run_folder / "scores.csv").read_text().splitlines()]
    wanted = [float(r[7]) for r in rows if r[0] == "lambda=0.9" and r[3:5] == ["slnn", "joint"] and r[6] == "1"]
    np.testing.assert_array_equal(run.scores["lambda=0.9", 0, "slnn_joint"].present, wanted)
    assert len(run.scores["lambda=0.9", 0, "slnn"].absent) == run.summary.n_test.absent


def test_empty_observer_counts_as_absent(make_run):
    run = make_run()
    _edit(run, "summary.json", lambda s: s["arms"][0]["observers"].update(cnn={}, slnn_joint=None))
    assert set(load_run(run).arm("low-dose").observers) == {"slnn", "ho", "ho_eye"}


def test_delta_read_backwards_changes_sign(run_folder):
    run = load_run(run_folder)
    forth, back = run.delta("lambda=0.9", "lambda=0", "ho"), run.delta("lambda=0", "lambda=0.9", "ho")
    assert (back.value, back.ci_low, back.ci_high) == (-forth.value, -forth.ci_high, -forth.ci_low)
    assert run.delta("lambda=0.5", "lambda=0.9", "ho") is None


def test_the_run_of_an_earlier_taskct_is_not_sent_in_a_circle(make_run):
    """It wrote no such file, so no evaluation by this one makes it: one line that says what does."""
    run = make_run()
    sizes = {"summary.json": 1, "scores.csv": 1}
    _edit(run, "provenance.json", lambda p: p.update(stages={"results": {"wall_s": 1.0, "bytes": sizes}}))
    (run / "groups.json").unlink()
    with pytest.raises(
        UserError, match=r"groups\.json is missing; the taskct that .*study\.yaml --out NEW_FOLDER`"
    ) as caught:
        load_run(run)
    assert "taskct evaluate" not in str(caught.value)
    _edit(run, "provenance.json", lambda p: p.update(taskct_version="0.0.9"))
    (run / "groups.json").write_text("{}")  # it wrote one, as it was then
    with pytest.raises(UserError, match=r"groups\.json is broken at .*; taskct 0\.0\.9 finished .* NEW") as caught:
        load_run(run)
    assert "taskct evaluate" not in str(caught.value)
    _edit(run, "provenance.json", lambda p: p.update(taskct_version=__version__))
    (run / "summary.json").unlink()  # this one it did write
    with pytest.raises(UserError, match=r"summary\.json is missing; run `taskct evaluate"):
        load_run(run)


def test_what_the_machine_refuses_is_named(make_run, monkeypatch):
    run = make_run()

    def refuse(self, **how):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(run), "read_text", refuse)
    with pytest.raises(UserError, match="cannot be read: Permission denied; mend that"):
        load_run(run)


def test_results_of_an_earlier_version_lack_the_unit(make_run):
    run = make_run()
    _edit(run, "task.json", lambda task: task.pop("resampling"))
    with pytest.raises(UserError, match=r"task\.json is broken at 'resampling'"):
        load_run(run)
    _edit(run, "task.json", lambda task: task.update(resampling=WHOLE, n_backgrounds={"train": 1}))
    with pytest.raises(UserError, match="lacks the number of test backgrounds"):
        load_run(run)


WHOLE = {"unit": "background", "over_backgrounds": True, "few": False, "p_values": True}


def test_a_further_file_that_is_gone_is_told_as_missing(make_run):
    run = make_run()
    (run / "limits.json").unlink()
    _edit(run, "provenance.json", lambda p: p["stages"]["results"].update(digests={"limits.json": "0" * 32}))
    with pytest.raises(UserError, match=r"limits\.json is missing"):
        load_run(run)
