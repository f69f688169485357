"""Which arms a study has, what they are called and what they start from."""

import pytest

from taskct.config import make_settings
from taskct.errors import UserError
from taskct.names import ArmName
from taskct.study.arms import arms_of, override, variants_of

SMALL = {"training": {"lambdas": [0, 0.9], "blend_alphas": [0.2], "other_head_lambda": None}}


def test_the_arms_of_a_plain_study() -> None:
    arms = arms_of(make_settings(SMALL, {"training": {"seeds": [0, 3]}, "denoiser": {"classical": ["tv"]}}))
    names = ["low-dose", "tv", "mse", "lambda=0", "lambda=0.9", "lambda=0.9 alpha=0.2"]
    assert [(arm.name, arm.seed) for arm in arms] == [(name, seed) for seed in (0, 3) for name in names]
    assert [arm.stage for arm in arms[:6]] == [
        None,
        "tune tv seed=0",
        "pretrain seed=0",
        "finetune lambda=0 seed=0",
        "finetune lambda=0.9 seed=0",
        None,
    ]


def test_a_task_path_is_one_training_for_all_its_prices() -> None:
    path = {"prices": [0.01, 0.1, 0.05], "trained_at": 0.05}
    arms = arms_of(make_settings(SMALL, {"training": {"method": "task-path"}, "path": path}))
    names = ["low-dose", "mse", "lambda=0", "path price=0.01", "path price=0.05", "path price=0.1"]
    assert [arm.name for arm in arms] == names
    assert [arm.stage for arm in arms[3:]] == [None, "path seed=0", None]
    assert [arm.mixed for arm in arms[3:]] == [True, False, True]
    assert {arm.weights_stem for arm in arms[3:]} == {"path_seed=0"}
    assert {arm.control for arm in arms[3:]} == {"lambda=0"}
    assert arms[4].depends_on == ("simulate", "finetune lambda=0 seed=0")
    assert arms[3].parts == (arms[2], arms[4])
    both = arms_of(make_settings(SMALL, {"training": {"method": "both"}, "path": path}))
    assert [arm.name for arm in both] == [*names[:3], "lambda=0.9", "lambda=0.9 alpha=0.2", *names[3:]]


def test_every_combination_of_a_grid_is_a_variant_once() -> None:
    grid = {"denoiser.arguments.n_layers": [5, 9], "training.trainable": ["all", "last:1"]}
    settings = make_settings(SMALL, {"grid": grid, "denoiser": {"arguments": {"n_layers": 5}}})
    variants = variants_of(settings)
    assert variants[0] == ()
    assert [dict(v) for v in variants[1:]] == [
        {"training.trainable": "last:1"},
        {"denoiser.arguments.n_layers": 9},
        {"denoiser.arguments.n_layers": 9, "training.trainable": "last:1"},
    ]
    arms = arms_of(settings)
    assert len({(arm.name, arm.seed) for arm in arms}) == len(arms) == len({arm.file_stem for arm in arms})
    # What only concerns fine-tuning shares the pretrained denoiser; a depth of its own has one of its own.
    assert [arm.name for arm in arms if arm.pretrained] == ["mse", "mse n_layers=9"]
    deep = next(arm for arm in arms if arm.name == "lambda=0.9 n_layers=9 trainable=last:1")
    assert deep.control == "lambda=0 n_layers=9 trainable=last:1"
    assert deep.start.name == "mse n_layers=9"
    assert deep.depends_on == ("simulate", "pretrain n_layers=9 seed=0")
    t = deep.settings(settings)
    assert (t.denoiser.arguments["n_layers"], t.training.trainable) == (9, "last:1")
    blend = next(arm for arm in arms if arm.alpha and arm.identity.variant == deep.identity.variant)
    assert blend.depends_on[1:] == (f"finetune {deep.control} seed=0", f"finetune {deep.name} seed=0")


def test_a_name_says_the_very_value() -> None:
    """Neighbouring settings have names, stages and files of their own, and none reads as another value."""
    near = {
        "lambdas": [0, 0.7, 0.95, 0.9500001, 0.9999999],
        "blend_lambda": 0.9999999,
        "blend_alphas": [0.2, 0.2000001],
    }
    grid = {"training.max_gradient_norm": [0.5, 0.50000001]}
    arms = arms_of(make_settings(SMALL, {"training": {**near, "max_gradient_norm": 0.5}, "grid": grid}))
    names = [arm.name for arm in arms]
    plain = ["mse", "lambda=0", "lambda=0.7", "lambda=0.95", "lambda=0.9500001", "lambda=0.9999999"]
    assert names[1:9] == [*plain, "lambda=0.9999999 alpha=0.2", "lambda=0.9999999 alpha=0.2000001"]
    assert names[9:11] == ["mse max_gradient_norm=0.50000001", "lambda=0 max_gradient_norm=0.50000001"]
    for attribute in ("name", "file_stem"):
        assert len({getattr(arm, attribute) for arm in arms}) == len(arms)
    assert {part.name for arm in arms if arm.alpha for part in arm.parts} <= set(names)


def test_the_other_head_is_a_variant_without_a_blend() -> None:
    arms = arms_of(make_settings(SMALL, {"training": {"other_head_lambda": 0.9}}))
    other = [arm for arm in arms if arm.identity.variant == (("head", "eye"),)]
    assert [arm.name for arm in other] == ["lambda=0 head=eye", "lambda=0.9 head=eye"]
    assert {arm.head for arm in other} == {"eye"}
    assert {arm.control for arm in other} == {"lambda=0 head=eye"}
    assert {arm.start.name for arm in other} == {"mse"}


def test_a_rival_loss_has_no_head() -> None:
    arms = arms_of(make_settings(SMALL, {"grid": {"training.loss": ["detectability"]}}))
    rival = [arm for arm in arms if arm.identity.variant == (("loss", "detectability"),)]
    assert [arm.name.partition(" loss")[0] for arm in rival] == ["lambda=0", "lambda=0.9", "lambda=0.9 alpha=0.2"]
    assert {arm.head for arm in rival} == {None}


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"training.lambdas": [[0]]}, "grid.training.lambdas is no axis"),
        ({"scanner.n_views": [60]}, "grid.scanner.n_views is no axis .* `taskct run --each scanner.n_views=VALUES`"),
        ({"scanner.nothing": [60]}, "grid.scanner.nothing is no axis of a study: use settings of denoiser"),
        ({"tests.x": [1]}, "grid.tests.x is no axis of a study: use settings of denoiser"),
        ({"training.nothing": [1]}, "grid.training.nothing is no axis"),
        ({"training.trainable": []}, "grid.training.trainable is empty"),
    ],
)
def test_what_is_no_axis_is_refused(grid: dict[str, list[object]], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        make_settings(SMALL, {"grid": grid})
    assert "\n" not in str(caught.value)


def test_a_value_that_is_not_allowed_is_refused_by_its_name() -> None:
    settings = make_settings(SMALL, {"grid": {"training.batch_size": [0]}})
    with pytest.raises(UserError, match=r"training\.batch_size is 0"):
        arms_of(settings)


def test_file_names_are_plain() -> None:
    arm = ArmName.parse("lambda=0.9 network=my.net/x seed=0")
    assert arm.file_stem == "lambda=0.9_network=my.net_x_seed=0"


def test_no_override_gives_the_study_itself() -> None:
    settings = make_settings(SMALL)
    assert override(settings, ()) is settings


def test_a_grid_of_lists_and_mappings() -> None:
    """Values that Python cannot hash: dilations, features of a network, whole sets of arguments."""
    grid = {"denoiser.arguments.dilations": [[1, 1, 1], [1, 2, 1]], "denoiser.arguments": [{"n_layers": 3}]}
    for name, values in grid.items():
        settings = make_settings(SMALL, {"grid": {name: values}, "denoiser": {"arguments": {"n_layers": 3}}})
        arms = arms_of(settings)
        assert len(set(arms)) == len(arms)
        asked = [arm.settings(settings).denoiser.arguments for arm in arms if arm.overrides]
        for arguments in asked:
            assert arguments["n_layers"] == 3
            if name.endswith("dilations"):
                assert arguments["dilations"] in values


def test_two_variants_that_would_share_files_are_refused() -> None:
    settings = make_settings(SMALL, {"grid": {"training.trainable": ["*layers.4*", "?layers.4?"]}})
    with pytest.raises(UserError, match="two points of the grid have one name"):
        arms_of(settings)
