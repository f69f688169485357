"""The run folder: which study it holds, and which stages are done."""

import errno
import json
import os
import platform
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from taskct.config import Settings, make_settings, to_yaml
from taskct.config.yaml_files import read_yaml
from taskct.denoisers.import_path import trust_network
from taskct.errors import UserError
from taskct.machine import resolve_device
from taskct.study.arms import arms_of
from taskct.study.checks import check_network
from taskct.study.records import environment, lock_folder, write_record
from taskct.study.run_folder import RunFolder
from taskct.sweep.pipeline import sweep
from tiny_study import files_of, run_study, tiny_settings

CPU = torch.device("cpu")


def folder_of(path: Path, settings: Settings | None = None) -> RunFolder:
    return RunFolder(path, settings, device=CPU)


def writes(path: Path, text: str = "done") -> Callable[[], None]:
    def work() -> None:
        path.write_text(text)

    return work


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder with stage one done, whose output is `one.txt`."""
    folder = folder_of(tmp_path / "deep" / "run", tiny_settings())
    assert folder.run_stage("one", writes(folder.path / "one.txt"), [folder.path / "one.txt"])
    return folder


def test_a_new_folder_holds_its_study(tmp_path: Path) -> None:
    settings = tiny_settings(seed=5)
    folder_of(tmp_path / "run", settings)
    assert folder_of(tmp_path / "run").settings == settings
    assert folder_of(tmp_path / "run", settings).settings == settings
    (tmp_path / "empty").mkdir()
    folder_of(tmp_path / "empty", settings)


def test_a_folder_with_leftovers_of_a_killed_start_is_new(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "study.yaml.partial").write_text("name: ti")
    folder_of(tmp_path / "run", tiny_settings())
    assert folder_of(tmp_path / "run").settings == tiny_settings()


def test_a_study_whose_trials_would_be_lost_is_refused_with_every_difference(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", tiny_settings())
    run.trials.mkdir()
    run.run_stage("simulate", lambda: None, [run.trials])
    before = files_of(run.path)
    with pytest.raises(
        UserError,
        match=r"holds another study \(scanner.dose_fraction 0.25 → 0.5\), and these settings would do the trials anew: "
        r"choose another --out folder, and what is there stays as it is$",
    ):
        folder_of(run.path, tiny_settings(scanner={"dose_fraction": 0.5}))
    with pytest.raises(UserError, match=r"\(seed 0 → 1, scanner.dose_fraction 0.25 → 0.5\)"):
        folder_of(run.path, tiny_settings(seed=1, scanner={"dose_fraction": 0.5}))
    assert files_of(run.path) == before


def test_trials_alone_stand_for_another_training(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", tiny_settings())
    run.run_stage("simulate", lambda: None, [])
    other = tiny_settings(training={"learning_rate": 1e-4}, denoiser={"arguments": {"n_layers": 3}})
    changed = folder_of(run.path, other)
    assert changed.change is not None
    assert not changed.change.anew
    assert changed.has(changed.graph["simulate"]) is False  # its output is not there in this test, but its key is
    assert changed.is_done("simulate", [])
    assert folder_of(run.path).settings == other
    lines = [json.loads(line) for line in (run.path / "stages" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["event"] == "settings"
    assert "training.learning_rate 0.003 → 0.0001" in lines[-1]["changed"]


def test_another_version_throws_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder_of(tmp_path / "run", tiny_settings())
    run.run_stage("simulate", lambda: None, [])
    run.write_provenance()
    monkeypatch.setattr("taskct.study.run_folder.__version__", "99.0")
    for told in (True, False):  # today's records name their version; those before them had it from provenance.json
        record = run.provenance()["stages"]["simulate"]
        if not told:
            del record["version"]
        write_record(run.path, "simulate", record)
        later = folder_of(run.path)
        with pytest.raises(UserError, match=r"'simulate' was done by taskct [\d.]+, and this is 99.0: go on with that"):
            sweep(later, ["simulate"])
        with pytest.raises(UserError, match=r"was done by taskct [\d.]+, and this is 99.0"):
            later.require("simulate")
    (run.path / "provenance.json").unlink()
    assert folder_of(run.path).outdated("simulate") is None  # nothing says whose it is


def test_trials_of_files_that_changed_since_are_not_thrown_away(tmp_path: Path) -> None:
    ct = tmp_path / "ct"
    ct.mkdir()
    (ct / "a").write_text("slice")
    run = folder_of(tmp_path / "run", tiny_settings(background={"kind": "series", "path": str(ct)}))
    run.run_stage("simulate", lambda: None, [])
    assert run.outdated("simulate") is None
    (ct / "b").write_text("another")
    later = folder_of(run.path)
    for ask in (lambda: sweep(later, ["simulate"]), lambda: later.require("simulate")):
        with pytest.raises(UserError, match=r"'simulate' was done from other files: what background.path names has ch"):
            ask()
    (ct / "b").unlink()
    assert folder_of(run.path).is_done("simulate", [])


def test_a_study_without_a_finished_stage_may_be_mended(tmp_path: Path) -> None:
    """A first attempt that failed, say on a folder without CT, does not block its correction."""
    folder_of(tmp_path / "run", tiny_settings(background={"kind": "series", "path": "typo"}))
    mended = tiny_settings(background={"kind": "series", "path": "right"})
    folder_of(tmp_path / "run", mended)
    assert folder_of(tmp_path / "run").settings == mended


def test_a_folder_in_use_keeps_its_study(tmp_path: Path) -> None:
    """Another process may not mend the study of one that has just begun, and may have it once that has ended."""
    folder_of(tmp_path / "run", tiny_settings())
    mended = tiny_settings(scanner={"dose_fraction": 0.5})
    with lock_folder(tmp_path / "run"), pytest.raises(UserError, match="another taskct works in this folder"):
        folder_of(tmp_path / "run", mended)
    assert folder_of(tmp_path / "run").settings == tiny_settings()
    folder_of(tmp_path / "run", mended)


def test_reading_only_writes_nothing(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", tiny_settings(), device=CPU, read_only=True)
    assert not run.provenance()["stages"]
    assert run.free_bytes() > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: None])
def test_no_study_and_none_given(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "run")
    with pytest.raises(UserError, match="is not a run folder: `taskct simulate`"):
        folder_of(tmp_path / "run")


def test_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("thesis", "file"):
        with pytest.raises(UserError, match="exists and is not a run folder: choose another"):
            folder_of(tmp_path / name, tiny_settings())
    assert [entry.name for entry in (tmp_path / "thesis").iterdir()] == ["chapter.tex"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda text: "", "lacks name"),
        (lambda text: text[: len(text) // 2], r"lacks |is broken"),
        (lambda text: "scanner: [", "is broken.*not valid YAML at line 1"),
        (lambda text: text.replace("n_views: 24", "n_views: 25"), "is broken.*scanner.n_views is 25"),
        (lambda text: text + "colour: red\n", "is broken.*unknown setting colour"),
        (lambda text: text.replace("seed: 0", "", 1), "lacks seed"),
    ],
)
def test_a_spoilt_study(run: RunFolder, spoil: Callable[[str], str], message: str) -> None:
    text = to_yaml(run.settings)
    (run.path / "study.yaml").write_text(spoil(text))
    for settings in (None, run.settings):
        with pytest.raises(UserError, match=message) as caught:
            folder_of(run.path, settings)
        assert "study.yaml" in str(caught.value)
    assert (run.path / "study.yaml").read_text() == spoil(text)


def test_a_study_of_an_earlier_taskct_says_how_to_do_it_anew(run: RunFolder) -> None:
    """As `report` sends to `evaluate`, which once sent to nowhere: it has no --out."""
    file = run.path / "study.yaml"
    file.write_text(to_yaml(run.settings).replace("    classical: []\n", "").replace("  classical: []\n", ""))
    with pytest.raises(
        UserError, match=r"lacks denoiser.classical: an earlier taskct wrote it.*`taskct run .*study.yaml"
    ):
        folder_of(run.path)
    again = folder_of(run.path.with_name("new"), make_settings(read_yaml(file)))  # and that works
    assert again.settings == run.settings


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", "3", '{"stage": "one"}', '{"stage": "one", "key": "a", "finished": 3}']
)
def test_a_spoilt_record(run: RunFolder, text: str) -> None:
    file = run.path / "stages" / "one.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"one\.json.*put back a copy, or delete it"):
        run.is_done("one", [run.path / "one.txt"])
    assert file.read_text() == text
    file.unlink()
    assert not run.is_done("one", [run.path / "one.txt"])


def test_a_finished_stage_is_not_repeated(run: RunFolder) -> None:
    before = files_of(run.path)
    assert not run.run_stage("one", lambda: pytest.fail("repeated"), [run.path / "one.txt"])
    assert not folder_of(run.path).run_stage("one", lambda: pytest.fail("repeated"), [run.path / "one.txt"])
    assert files_of(run.path) == before


@pytest.mark.parametrize("left", [None, "", "don", "done and more"])
def test_a_stage_whose_output_is_gone_or_cut_short_is_not_done(run: RunFolder, left: str | None) -> None:
    (run.path / "one.txt").unlink()
    if left is not None:
        (run.path / "one.txt").write_text(left)
    assert run.run_stage("one", writes(run.path / "one.txt"), [run.path / "one.txt"])
    assert (run.path / "one.txt").read_text() == "done"


def test_a_folder_that_lost_a_file_is_not_done(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", tiny_settings())
    store = run.path / "store"

    def work() -> None:
        (store / "a").mkdir(parents=True, exist_ok=True)
        writes(store / "a" / "0")()
        writes(store / "a" / "1")()

    assert run.run_stage("one", work, [store])
    assert run.is_done("one", [store])
    (store / "a" / "1").unlink()
    assert not run.is_done("one", [store])


def test_what_builds_on_a_stage_is_done_anew_with_it(run: RunFolder) -> None:
    one, two = run.path / "one.txt", run.path / "two.txt"
    assert run.run_stage("two", writes(two), [two], ["one"])
    assert run.is_done("two", [two], ["one"])
    one.unlink()
    run.run_stage("one", writes(one), [one])
    assert not run.is_done("two", [two], ["one"])
    assert run.run_stage("two", writes(two), [two], ["one"])


def test_a_stage_needs_those_it_builds_on(run: RunFolder) -> None:
    with pytest.raises(UserError, match=r"the stage 'finetune x' is not done; `taskct train`"):
        run.run_stage("two", lambda: pytest.fail("begun"), [], ["one", "finetune x"])
    run.trials.mkdir()
    (run.trials / "chunk").write_text("trial")
    run.run_stage("simulate", lambda: None, [run.trials])
    run.run_stage("two", lambda: None, [], ["simulate"])
    (run.trials / "chunk").unlink()  # a chunk that is gone would read as zeros
    with pytest.raises(
        UserError, match=r"the stage 'simulate' is not whole any more \(trials has changed\); `taskct simulate`"
    ):
        run.run_stage("three", lambda: pytest.fail("begun"), [], ["simulate"])


@pytest.mark.parametrize("stage", ["simulate", "pretrain", "finetune"])
def test_what_a_stage_builds_on_must_be_current_all_the_way_down(tmp_path: Path, stage: str) -> None:
    """Not only recorded: old models must not be measured on new trials."""
    run = folder_of(tmp_path / "run", tiny_settings())
    before: list[str] = []
    for name in ("simulate", "pretrain", "finetune"):
        run.run_stage(name, writes(run.path / name), [run.path / name], before)
        before = [name]
    run.run_stage("evaluate", lambda: None, [], before)
    known = run.provenance()["stages"]
    assert known["finetune"]["depends_on"] == ["pretrain"]
    for name in (stage, "evaluate"):
        write_record(run.path, name, {**known[name], "key": "old"})
    command = "simulate" if stage == "simulate" else "train"
    with pytest.raises(UserError, match=rf"the stage '{stage}' is out of date: .*`taskct {command}`"):
        run.run_stage("evaluate", lambda: pytest.fail("begun"), [], before)


@pytest.mark.parametrize("content", [None, "d"])
def test_weights_that_changed_are_named(run: RunFolder, content: str | None) -> None:
    (run.path / "models").mkdir()
    weights = run.weights("a")
    run.run_stage("finetune", writes(weights), [weights])
    weights.unlink()
    if content is not None:
        weights.write_text(content)
    with pytest.raises(UserError, match=r"'finetune' is not whole any more \(models/a.safetensors has changed\)"):
        run.run_stage("evaluate", lambda: pytest.fail("begun"), [], ["one", "finetune"])


def test_each_stage_tells_of_its_own_session(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("run_folder", "records"):
        monkeypatch.setattr(f"taskct.study.{room}.commit", lambda: "0123456789ab")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    later = RunFolder(run.path, None, device=torch.device("meta"))
    later.run_stage("two", lambda: None, [], ["one"])
    later.write_provenance()
    known = json.loads((run.path / "provenance.json").read_text())
    one, two = known["stages"]["one"], known["stages"]["two"]
    assert (two["commit"], two["device"], two["n_threads"]) == ("0123456789ab", "meta", 77)
    assert (one["device"], one["n_threads"] == 77, one["commit"] == two["commit"]) == ("cpu", False, False)
    assert (known["commit"], known["device"], known["n_threads"]) == ("0123456789ab", "meta", 77)


def test_a_stage_that_fails_is_not_done(run: RunFolder) -> None:
    two = run.path / "two.txt"

    def half() -> None:
        two.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run_stage("two", half, [two])
    assert not run.is_done("two", [two])
    assert run.is_done("one", [run.path / "one.txt"])


def test_the_key_knows_the_settings(tmp_path: Path) -> None:
    keys = {
        folder_of(tmp_path / str(i), settings).key("one")
        for i, settings in enumerate([tiny_settings(), tiny_settings(seed=1), tiny_settings(scanner={"i0": 9e5})])
    }
    assert len(keys) == 3
    assert folder_of(tmp_path / "0").key("one") in keys


def test_provenance_tells_how_to_run_it_again(run: RunFolder) -> None:
    run.write_provenance()
    known = json.loads((run.path / "provenance.json").read_text())
    assert known["libraries"]["torch"] == torch.__version__
    assert known["seed"] == 0
    assert known["training_seeds"] == [0]
    assert known["stages"]["one"]["wall_s"] >= 0
    assert set(environment(run.settings, CPU)) | {"stages"} == set(known)


def test_no_file_of_a_run_names_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "console-of-ward-seven"
    monkeypatch.setattr(platform, "node", lambda: name)
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    run = run_study(tmp_path / "run", tiny_settings(), report=True)
    found = files_of(run.path)
    assert {"stages/log.jsonl", "stages/results.json", "provenance.json", "report.html", "run.lock"} <= set(found)
    assert not [file for file, data in found.items() if name.encode() in data or name in file]
    # Nor does a record that an earlier taskct wrote tell it on.
    write_record(run.path, "results", {**run.provenance()["stages"]["results"], "host": name})
    run.write_provenance()
    assert name not in (run.path / "provenance.json").read_text()


def test_what_the_machine_refuses_is_named_and_is_no_broken_record(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, words in ((errno.EACCES, "Permission denied"), (errno.EIO, "Input/output error")):

        def refuse(self: Path, number: int = number, words: str = words, **how: object) -> str:
            raise OSError(number, words, str(self))

        with monkeypatch.context() as patched:
            patched.setattr(Path, "read_text", refuse)
            patched.setattr(Path, "read_bytes", refuse)
            with pytest.raises(UserError, match=words):
                run.provenance()
            with pytest.raises(UserError, match=words):
                run.is_done("one", [])


def test_devices() -> None:
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cpu:1", "cuda:", "", "cuda:-1"])
def test_devices_that_are_none(name: str) -> None:
    with pytest.raises(UserError, match=r"choose auto, cpu or cuda$"):
        resolve_device(name)


def test_cuda_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"^--device cuda: torch sees no CUDA device"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="there are 2 CUDA devices"):
        resolve_device("cuda:2")


def test_cuda_is_told_to_be_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name, value in (("deterministic", False), ("benchmark", True), ("allow_tf32", True)):
        monkeypatch.setattr(cudnn, name, value)
    before = matmul.allow_tf32
    try:
        matmul.allow_tf32 = True
        assert resolve_device("auto") == torch.device("cuda")
        assert cudnn.deterministic
        assert [cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32] == [False, False, False]
    finally:
        matmul.allow_tf32 = before


def test_the_network_is_tried_first() -> None:
    assert check_network(tiny_settings(denoiser={"arguments": {"n_layers": 3}})).reach == 3
    for denoiser, message in (
        ({"network": "torch.nn.Identity"}, "nothing to train"),
        ({"network": "torch.nn.Linear", "arguments": {"in_features": 3, "out_features": 3}}, "20 x 20 pixels"),
        ({"network": "torch.nn.Conv2d", "arguments": {"in_channels": 1, "out_channels": 1, "kernel_size": 3}}, "shape"),
    ):
        trust_network(str(denoiser["network"]))
        with pytest.raises(UserError, match=message):
            check_network(tiny_settings(denoiser=denoiser))
    with pytest.raises(UserError, match=r"training\.trainable"):
        check_network(tiny_settings(training={"trainable": "decoder"}))


def test_arms() -> None:
    """Every arm: what is compared, in the order of the report, each with a file of its own."""
    training = {
        "lambdas": [0.9, 0, 0.5],
        "head": "eye",
        "other_head_lambda": 0.5,
        "blend_lambda": 0.9,
        "blend_alphas": [0.5, 0.25],
        "seeds": [3, 4],
    }
    arms = arms_of(tiny_settings(training=training))
    names = ["low-dose", "mse", "lambda=0", "lambda=0.5", "lambda=0.9", "lambda=0 head=pixel", "lambda=0.5 head=pixel"]
    names += ["lambda=0.9 alpha=0.25", "lambda=0.9 alpha=0.5"]
    assert [(arm.seed, arm.name) for arm in arms] == [(seed, name) for seed in (3, 4) for name in names]
    assert len({arm.file_stem for arm in arms}) == len(arms)
    for arm in arms:
        assert arm.trained == (arm.name.startswith("lambda=") and "alpha" not in arm.name)
        assert arm.control == ("lambda=0 head=pixel" if "pixel" in arm.name else "lambda=0")
    none = arms_of(tiny_settings(training={"other_head_lambda": None, "blend_lambda": None}))
    assert [arm.name for arm in none] == ["low-dose", "mse", "lambda=0", "lambda=0.9"]


def test_a_run_folder_of_former_names_is_read_but_not_gone_on_with(run: RunFolder) -> None:
    study = run.path / "study.yaml"
    text = study.read_text().replace("blur_mm:", "margin_mm:").replace("  preset: null\n  det", "  model: null\n  det")
    study.write_text(text)
    assert "model: null" in study.read_text()
    assert RunFolder(run.path, None, device=CPU, read_only=True).settings == run.settings
    for settings in (None, run.settings):
        with pytest.raises(UserError, match=r"study.yaml holds signal.margin_mm: an earlier taskct wrote it"):
            folder_of(run.path, settings)


def test_a_changed_output_of_equal_length_is_refused_and_made_anew(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", tiny_settings())
    out = run.path / "one.txt"
    assert run.run_stage("one", writes(out), [out])
    assert not run.run_stage("one", writes(out), [out])
    out.write_text("dope")
    with pytest.raises(UserError, match=r"is not whole any more \(one.txt has changed\)"):
        folder_of(run.path).require("one")
    assert folder_of(run.path).run_stage("one", writes(out), [out])
    assert out.read_text() == "done"
    folder_of(run.path).require("one")


@pytest.mark.parametrize("name", ["stages/log.jsonl", "training/x.jsonl", "study.yaml.lock"])
def test_a_pipe_in_a_folder_that_is_to_be_written_is_refused(tmp_path: Path, name: str) -> None:
    run = folder_of(tmp_path / "run", tiny_settings())
    pipe = run.path / name
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    with pytest.raises(UserError, match="a pipe, not a file"):
        lock_folder(run.path)


def test_a_link_in_a_folder_that_is_to_be_written_is_refused(tmp_path: Path) -> None:
    run = folder_of(tmp_path / "run", tiny_settings())
    (tmp_path / "outside").mkdir()
    for name in ("models", "evaluated", "training", "trials.partial", "figures"):
        (run.path / name).symlink_to(tmp_path / "outside")
        with pytest.raises(UserError, match=rf"{name} is a link"):
            lock_folder(run.path)
        (run.path / name).unlink()
    (run.path / "trials").symlink_to(tmp_path / "outside")  # finished trials on another disk
    lock_folder(run.path).release()
    assert not list((tmp_path / "outside").iterdir())
