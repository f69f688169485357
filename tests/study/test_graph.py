"""The graph of stages: what depends on what, which settings a stage's key knows, how threads are shared."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch

from taskct.study.graph import levels, share_threads, simulation_inputs, stages_of
from taskct.study.records import write_record
from taskct.study.run_folder import RunFolder
from taskct.sweep.dry_run import START_S, RunPlan, plan_run
from taskct.sweep.durations import (
    cnn_seconds,
    filter_seconds,
    fit_seconds,
    image_seconds,
    n_tried,
    simulation_seconds,
    step_bytes,
)
from taskct.sweep.executors import Machine
from tiny_study import tiny_run, tiny_settings

__all__ = ["tiny_run"]  # a fixture

CPU = torch.device("cpu")


def graph_of(**sections: Any) -> dict[str, Any]:
    return {stage.name: stage for stage in stages_of(tiny_settings(**sections))}


def test_every_stage_comes_after_what_it_builds_on() -> None:
    stages = graph_of(training={"seeds": [0, 1]})
    seen: set[str] = set()
    for name, stage in stages.items():
        assert set(stage.depends_on) <= seen, name
        seen.add(name)
    outputs = [output for stage in stages.values() for output in stage.outputs]
    assert len(set(outputs)) == len(outputs)
    kinds = [stage.kind for stage in stages.values()]
    # By hand: per seed one pretraining, λ of 0 and 0.9 for each of two heads; the low-dose images are evaluated once,
    # and per seed the pretrained one, four fine-tuned ones and one blend.
    assert [kinds.count(kind) for kind in ("simulate", "pretrain", "finetune", "evaluate", "results")] == [
        1,
        2,
        8,
        13,
        1,
    ]


def test_a_blend_builds_on_the_images_of_its_two_networks() -> None:
    stages = graph_of()
    blend = stages["evaluate lambda=0.9 alpha=0.5 seed=0"]
    assert blend.depends_on[1:] == ("evaluate lambda=0 seed=0", "evaluate lambda=0.9 seed=0")
    kept = [name for name, stage in stages.items() if any(output.endswith(".images.npz") for output in stage.outputs)]
    assert tuple(kept) == blend.depends_on[1:]
    assert stages["results"].depends_on[0] == "simulate"
    assert set(stages["results"].depends_on[1:]) == {name for name, one in stages.items() if one.kind == "evaluate"}


def test_threads_follow_from_the_graph_alone() -> None:
    stages = stages_of(tiny_settings(training={"seeds": [0, 1, 2]}))
    share = share_threads(stages, workers=16, n_threads=16)
    assert share["simulate"] == share["results"] == 16
    assert {share[f"pretrain seed={seed}"] for seed in range(3)} == {5}  # three side by side
    assert share["finetune lambda=0 seed=1"] == 1  # twelve
    assert share_threads(stages, workers=2, n_threads=16)["finetune lambda=0 seed=1"] == 8
    assert set(share_threads(stages, workers=64, n_threads=1).values()) == {1}
    level = levels(stages)
    assert level["simulate"] == 0
    assert level["results"] == max(level.values())


@pytest.mark.parametrize(
    ("changed", "first"),
    [
        ({"scanner": {"i0": 9e5}}, "simulate"),
        ({"seed": 1}, "simulate"),
        ({"training": {"learning_rate": 1e-4}}, "pretrain seed=0"),
        ({"denoiser": {"arguments": {"n_layers": 3}}}, "pretrain seed=0"),
        ({"training": {"finetune_learning_rate": 1e-4}}, "finetune lambda=0 seed=0"),
        ({"observers": {"internal_noise_hu": 5.0}}, "finetune lambda=0 seed=0"),
        ({"observers": {"ridges": [1.0]}}, "evaluate low-dose"),
        ({"evaluation": {"data_range_hu": 300.0}}, "evaluate low-dose"),
        ({"name": "other"}, "results"),
    ],
)
def test_a_key_knows_what_its_stage_depends_on_and_no_more(tmp_path: Path, changed: dict[str, Any], first: str) -> None:
    """A changed setting changes the keys from one stage on; those before it keep theirs."""
    sections = {**changed}
    a = RunFolder(tmp_path / "a", tiny_settings(), device=CPU, read_only=True)
    b = RunFolder(tmp_path / "b", tiny_settings(**sections), device=CPU, read_only=True)
    differ = [name for name in a.graph if a.key(name) != b.key(name)]
    assert differ[0] == first


def test_another_arm_of_the_grid_leaves_the_keys_of_the_others(tmp_path: Path) -> None:
    a = RunFolder(tmp_path / "a", tiny_settings(), device=CPU, read_only=True)
    more = tiny_settings(training={"lambdas": [0, 0.5, 0.9], "other_head_lambda": 0.9, "seeds": [0, 1]})
    b = RunFolder(tmp_path / "b", more, device=CPU, read_only=True)
    assert set(a.graph) < set(b.graph)
    assert [name for name in a.graph if a.key(name) != b.key(name)] == ["results"]


def test_the_trials_key_knows_the_files_and_a_copy_elsewhere_keeps_it(tmp_path: Path) -> None:
    ct = tmp_path / "ct"
    ct.mkdir()
    (ct / "a").write_text("slice")
    settings = tiny_settings(background={"kind": "series", "path": str(ct)})
    run = RunFolder(tmp_path / "run", settings, device=CPU)
    run.run_stage("simulate", lambda: None, [])
    before = simulation_inputs(settings)
    (ct / "b").write_text("another")
    assert simulation_inputs(settings) != before
    assert not RunFolder(run.path, None, device=CPU).is_done("simulate", [])
    for file in ct.iterdir():
        file.unlink()
    ct.rmdir()  # as on another machine, where the series is not
    assert RunFolder(run.path, None, device=CPU).is_done("simulate", [])


def test_a_plan_of_nothing_done_and_of_all_done(tiny_run: RunFolder, tmp_path: Path) -> None:
    done = plan_run(tiny_run, Machine(workers=2))
    assert all(row.done for row in done.stages)
    assert done.seconds == done.bytes_to_write == 0
    assert [row.name for row in done.stages] == list(tiny_run.graph)
    new = RunFolder(tmp_path / "new", tiny_settings(), device=CPU, read_only=True)
    plan = plan_run(new, Machine(workers=2))
    assert not any(row.done for row in plan.stages)
    assert list(tmp_path.iterdir()) == []
    assert plan.seconds >= max(row.seconds for row in plan.stages) + START_S
    assert plan.seconds <= sum(row.seconds for row in plan.stages) + START_S + 1e-9
    assert plan.how[0] == "time of simulate: from a few trials made on one core here"
    assert [(row.kind, row.n_stages, row.n_done) for row in plan.kinds] == [
        ("simulate", 1, 0),
        ("pretrain", 1, 0),
        ("finetune", 4, 0),
        ("blend", 1, 0),
        ("evaluate", 7, 0),
        ("results", 1, 0),
    ]
    assert sum(row.seconds for row in plan.kinds) == pytest.approx(sum(row.seconds for row in plan.stages))
    assert sum(row.n_bytes for row in plan.kinds) == plan.bytes_to_write
    # What a run wrote, within a factor of two for the large items.
    by_name = {row.name: row.n_bytes for row in done.stages}
    records = tiny_run.provenance()["stages"]
    for stage in ("simulate", "evaluate lambda=0 seed=0", "results"):
        assert by_name[stage] == pytest.approx(sum(records[stage]["bytes"].values()), rel=1.0), stage


def test_a_plan_takes_the_time_of_what_was_done_here(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run", tiny_settings(training={"seeds": [0, 1]}), device=CPU)
    first = run.graph["simulate"]
    run.run_stage("simulate", lambda: (run.path / "trials").mkdir(), [run.path / "trials"])
    assert run.has(first)
    plan = plan_run(run, Machine(workers=1))
    assert plan.stages[0].done
    assert plan.timetables[-1].seconds == pytest.approx(sum(row.seconds for row in plan.stages))


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Rates that are known: 10 ms a trial, 2 ms an image of a step, 3 s a fit; the list tells what was measured."""
    asked: list[str] = []

    def known(name: str, value: Any) -> Any:
        def measure(*given: Any) -> Any:
            asked.append(name)
            return value

        return measure

    monkeypatch.setattr("taskct.sweep.dry_run.simulation_seconds", known("simulate", (1.0, 1.6)))
    monkeypatch.setattr("taskct.sweep.dry_run.image_seconds", known("image", 2e-3))
    monkeypatch.setattr("taskct.sweep.dry_run.fit_seconds", known("fit", 3.0))
    return asked


def test_a_plan_adds_up_rates(rates: list[str], tmp_path: Path) -> None:
    """By hand: 48 trials an epoch and a third of 32; a third of 112 for an evaluation."""
    run = RunFolder(tmp_path / "run", tiny_settings(training={"pretrain_epochs": 4}), device=CPU, read_only=True)
    seconds = {row.name: row.seconds for row in plan_run(run, Machine(workers=1, threads=1)).stages}
    assert seconds["simulate"] == pytest.approx(1.0 + 1.6)
    assert seconds["pretrain seed=0"] == pytest.approx(4 * (48 + 32 / 3) * 2e-3)
    assert seconds["finetune lambda=0.9 seed=0"] == pytest.approx((48 + 32 / 3) * 2e-3)
    assert seconds["evaluate low-dose"] == pytest.approx(3.0)
    assert seconds["evaluate lambda=0.9 seed=0"] == pytest.approx(3.0 + (32 + 40 + 40) / 3 * 2e-3)
    assert seconds["evaluate lambda=0.9 alpha=0.5 seed=0"] == pytest.approx(3.0)


def test_a_plan_is_rescaled_by_what_ran(rates: list[str], tmp_path: Path) -> None:
    settings = tiny_settings(training={"seeds": [0, 1]})
    run = RunFolder(tmp_path / "run", settings, device=CPU)
    for name in ("simulate", "pretrain seed=0"):
        stage = run.graph[name]
        outputs = [run.path / output for output in stage.outputs]
        for output in outputs:
            output.parent.mkdir(exist_ok=True)
            output.write_text("done")
        run.run_stage(name, lambda: None, outputs, stage.depends_on)
    record = run.provenance()["stages"]["pretrain seed=0"]
    write_record(run.path, "pretrain seed=0", {**record, "wall_s": 5 * (48 + 32 / 3) * 2e-3, "n_threads": 1})
    plan = plan_run(run, Machine(workers=1, threads=1))
    seconds = {row.name: row.seconds for row in plan.stages}
    assert seconds["pretrain seed=1"] == pytest.approx(5 * (48 + 32 / 3) * 2e-3)  # as the other took
    assert seconds["finetune lambda=0 seed=0"] == pytest.approx(5 * (48 + 32 / 3) * 2e-3)  # none of its kind has ended
    assert seconds["evaluate low-dose"] == pytest.approx(5 * 3.0)
    assert "time of pretrain: times 5, as the 1 that ended in this folder took" in plan.how


def test_a_plan_of_a_sweep_tries_each_network_once(rates: list[str], tmp_path: Path) -> None:
    grid = {"training.finetune_learning_rate": [2e-3, 3e-3, 4e-3], "denoiser.arguments.n_layers": [2, 3]}
    settings = tiny_settings(grid=grid, training={"seeds": list(range(8))})
    run = RunFolder(tmp_path / "run", settings, device=CPU, read_only=True)
    plan = plan_run(run, Machine(workers=2))
    assert len(plan.stages) > 300
    assert sorted(rates) == ["fit", "image", "image", "simulate"]


def test_more_networks_than_there_is_time_for_are_judged_by_their_weights(
    rates: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskct.sweep.dry_run.MEASURE_S", 1e-9)  # the first network takes all the time there is
    monkeypatch.setattr("taskct.sweep.dry_run.time.process_time", itertools.count().__next__)
    settings = tiny_settings(grid={"denoiser.arguments.n_channels": [8]})
    plan = plan_run(RunFolder(tmp_path / "run", settings, device=CPU, read_only=True), Machine(workers=1, threads=1))
    seconds = {row.name: row.seconds for row in plan.stages}
    n_weights = {n: n * 9 + n + n * 9 + 1 + 2 for n in (4, 8)}  # two 3 x 3 layers with biases, and the two of scaling
    assert seconds["pretrain n_channels=8 seed=0"] / seconds["pretrain seed=0"] == pytest.approx(
        n_weights[8] / n_weights[4], rel=0.05
    )
    assert any("1 networks were tried, the others are judged by their number of weights" in line for line in plan.how)


def test_rates_are_those_of_one_idle_core() -> None:
    """Each is finite and positive, and a network of four times the work takes longer."""
    small = tiny_settings(denoiser={"arguments": {"n_layers": 4, "n_channels": 16}})
    large = tiny_settings(denoiser={"arguments": {"n_layers": 4, "n_channels": 64}})
    assert 0 < image_seconds(small, CPU) < image_seconds(large, CPU)
    ready, trials = simulation_seconds(tiny_settings(), CPU)
    assert ready > 0
    assert trials > 0
    assert fit_seconds(tiny_settings(), CPU) > 0
    assert fit_seconds(tiny_settings(trials={"n_fresh": 4000}), CPU) > fit_seconds(tiny_settings(), CPU)


def test_a_plan_counts_filters_and_the_cnn_observer(
    rates: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By hand: a filter is tuned on 32 images, with 5 strengths of 2 kinds and 6 refinements, and then filters 112."""
    monkeypatch.setattr("taskct.sweep.dry_run.filter_seconds", lambda *given: (0.01, 0.02))
    monkeypatch.setattr("taskct.sweep.dry_run.cnn_seconds", lambda *given: 7.0)
    settings = tiny_settings(denoiser={"classical": ["nlm"]}, observers={"more": ["cnn"]})
    plan = plan_run(RunFolder(tmp_path / "run", settings, device=CPU, read_only=True), Machine(workers=1, threads=1))
    seconds = {row.name: row.seconds for row in plan.stages}
    assert n_tried(settings, "nlm") == 32 * (5 * 2 + 6)
    assert seconds["tune nlm seed=0"] == pytest.approx(0.01 * 32 * 16)
    assert seconds["evaluate nlm seed=0"] == pytest.approx(3.0 + 7.0 + 0.02 * 112)
    assert plan.core_seconds == pytest.approx(sum(seconds.values()))
    bound = tiny_settings(observers={"bound": "cnn"})
    plan = plan_run(RunFolder(tmp_path / "bound", bound, device=CPU, read_only=True), Machine(workers=1, threads=1))
    seconds = {row.name: row.seconds for row in plan.stages if row.name.startswith("evaluate")}
    assert seconds.pop("evaluate low-dose") == pytest.approx(3.0 + 7.0)
    assert max(seconds.values()) < 7.0


def test_work_is_that_of_all_cores_and_memory_that_of_the_largest_process(rates: list[str], tmp_path: Path) -> None:
    def planned(**changes: Any) -> RunPlan:
        run = RunFolder(tmp_path / "run", tiny_settings(**changes), device=CPU, read_only=True)
        return plan_run(run, Machine(workers=2, threads=1))

    plan = planned()
    by_kind = {kind.kind: kind.seconds for kind in plan.kinds}
    assert plan.core_seconds == pytest.approx(2 * by_kind.pop("simulate") + sum(by_kind.values()))
    fresh = planned(trials={"n_fresh": 20_000})
    assert fresh.memory_bytes > 8 * 20_000**2 > plan.memory_bytes
    images = planned(trials={"n_train": 10**6})
    assert images.memory_bytes > 10**6 * 2 * 4 * 20**2  # pairs of 20 x 20 pixels


def test_memory_of_a_step_is_that_of_the_images_between_the_layers() -> None:
    """Two more layers keep two more images of 20 x 20 for each of 4 channels, 16 trials at a time, in float32."""
    kept = [step_bytes(tiny_settings(denoiser={"arguments": {"n_layers": n, "n_channels": 4}})) for n in (4, 6)]
    images = 2 * 16 * 4 * 20**2 * 4
    assert images <= kept[1] - kept[0] <= 4 * images


def test_rates_of_filters_and_of_the_cnn_observer() -> None:
    settings = tiny_settings()
    for name in ("nlm", "tv", "bilateral"):
        mean, slowest = filter_seconds(settings, name)
        assert 0 < mean <= slowest
    assert 0 < cnn_seconds(settings, CPU) < cnn_seconds(tiny_settings(trials={"region_pixels": 32}), CPU) < 600
