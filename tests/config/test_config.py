"""Settings: names, ranges, units, precedence and the files that hold them."""

import math
import re
from pathlib import Path

import pytest
import yaml

from taskct.config import (
    Settings,
    dotted_settings,
    make_settings,
    parse_overrides,
    preset_names,
    range_of,
    read_preset,
    to_yaml,
    unit_of,
    without_effect,
)
from taskct.config.read import RENAMED
from taskct.config.yaml_files import read_yaml
from taskct.errors import UserError
from taskct.tasks.shape_registry import SIGNAL_RANGES

FIELDS = dict(dotted_settings())


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("scanner.dose_fracton", "scanner.dose_fraction"),
        ("scanner.dosefraction", "scanner.dose_fraction"),
        ("dose_fraction", "scanner.dose_fraction"),
        ("dose_fracton", "scanner.dose_fraction"),
        ("training.dose_fraction", "scanner.dose_fraction"),
        ("scaner.n_views", "scanner.n_views"),
        ("training.lambda", "training.lambdas"),
        ("seeed", "seed"),
    ],
)
def test_a_misspelt_name_gets_the_nearest(wrong: str, meant: str) -> None:
    with pytest.raises(UserError) as caught:
        make_settings(parse_overrides([f"{wrong}=1"]))
    assert str(caught.value).startswith(f"unknown setting {wrong}: did you mean {meant}?")


@pytest.mark.parametrize(("old", "new"), RENAMED.items())
def test_a_former_name_gets_the_one_it_has_now(old: str, new: str) -> None:
    with pytest.raises(UserError) as caught:
        make_settings(parse_overrides([f"{old}=[0, 1]"]))
    assert str(caught.value) == f"{old} is now called {new}: give its value that name"
    assert new in FIELDS


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(UserError, match=r"^unknown setting qqqq: `taskct config` lists them all$"):
        make_settings({"qqqq": 1})


@pytest.mark.parametrize(
    ("override", "name", "allowed"),
    [
        ("scanner.dose_fraction=2", "scanner.dose_fraction is 2", "(0, 1]"),
        ("scanner.dose_fraction=0", "scanner.dose_fraction is 0", "(0, 1]"),
        ("background.shift_mm=-1", "background.shift_mm is -1", "[0, 200] mm"),
        ("background.lump_hu=501", "background.lump_hu is 501", "[0, 500] HU"),
        ("scanner.n_views=90", "scanner.n_views is 90", "[4, 4096], multiples of 4"),
        ("scanner.n_views=many", "scanner.n_views is 'many'", "[4, 4096]"),
        ("scanner.pixel_mm=.inf", "scanner.pixel_mm is inf", "mm"),
        ("training.lambdas=[0, 1.5]", "training.lambdas[1] is 1.5", "each in [0, 1)"),
        ("training.lambdas=[0]", "training.lambdas is [0]", "at least 2"),
        ("training.seeds=[-1]", "training.seeds[0] is -1", "each in [0, 2147483648)"),
        ("signal.diameter_mm=[0, 3]", "signal.diameter_mm[0] is 0", "each in (0, ∞) mm"),
        ("signal.contrast_hu=[30, 20]", "signal.contrast_hu is [30, 20]", "HU"),
        ("training.head=nose", "training.head is 'nose'", "pixel | eye"),
        ("name=2024", "name is 2024", "1 to 80 characters"),
        ("seed=2147483648", "seed is 2147483648", "[0, 2147483648)"),
    ],
)
def test_a_wrong_value_gets_its_name_its_range_and_its_unit(override: str, name: str, allowed: str) -> None:
    with pytest.raises(UserError) as caught:
        make_settings(parse_overrides([override]))
    message = str(caught.value)
    assert message.startswith(name)
    assert allowed in message
    assert "\n" not in message


@pytest.mark.parametrize("name", [name for name, field in FIELDS.items() if range_of(field).startswith(("[", "("))])
def test_the_printed_range_is_the_one_that_holds(name: str) -> None:
    """Just outside each finite end of the interval that `taskct config` prints, the value is refused."""
    printed = range_of(FIELDS[name])
    section, _, last = name.rpartition(".")
    low, high = printed[1 : printed.index("," if "," in printed else "]")], printed[printed.index(",") + 2 :]
    outside = [float(low) - 1 if printed[0] == "[" else float(low)]
    end = high[: min(i for i in (high.find("]"), high.find(")")) if i >= 0)]
    if end != "∞":
        outside.append(float(end) + 4 if high[len(end)] == "]" else float(end))
    for value in outside:
        tree = {last: int(value) if FIELDS[name].annotation is int else value}
        with pytest.raises(UserError, match=r"allowed: "):
            make_settings({section: tree} if section else tree)


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in FIELDS.items() if not field.description] == []


def test_every_dimensional_setting_has_its_unit() -> None:
    for ending, unit in (("_mm", "mm"), ("_hu", "HU"), ("_pixels", "pixels")):
        found = {name: unit_of(field) for name, field in FIELDS.items() if name.endswith(ending)}
        assert found
        assert set(found.values()) == {unit}, found


def test_overrides_are_yaml_by_dotted_name() -> None:
    pairs = [
        "scanner.dose_fraction=0.5",
        "scanner.i0=8e5",
        "training.lambdas=[0, 5e-1]",
        "background.path=a=b",
        "seed=7",
    ]
    assert parse_overrides([*pairs, "training.blend_lambda=null", "seed=8"]) == {
        "scanner": {"dose_fraction": 0.5, "i0": 8e5},
        "training": {"lambdas": [0, 0.5], "blend_lambda": None},
        "background": {"path": "a=b"},
        "seed": 8,
    }


@pytest.mark.parametrize(
    "pair",
    [
        "scanner.dose_fraction",
        "=3",
        "scanner.=3",
        ".x=3",
        "training.lambdas=[0, 0.5",
        "name=!!int text",
        "name={a: b: c}",
    ],
)
def test_an_override_that_cannot_be_read(pair: str) -> None:
    with pytest.raises(UserError, match=r"^--set '"):
        parse_overrides([pair])


def test_an_override_of_a_part_of_a_value() -> None:
    with pytest.raises(UserError, match=r"scanner already has a value"):
        parse_overrides(["scanner=3", "scanner.i0=4"])
    with pytest.raises(UserError, match=r"scanner is a section"):
        make_settings(parse_overrides(["scanner=3"]))


def test_later_trees_win_and_the_rest_stays() -> None:
    """Preset < --set < --seed, setting by setting."""
    preset = {"seed": 1, "scanner": {"n_views": 60, "n_bins": 128}}
    settings = make_settings(preset, {"scanner": {"n_views": 120}, "seed": 2}, {"seed": 3})
    assert (settings.seed, settings.scanner.n_views, settings.scanner.n_bins) == (3, 120, 128)
    assert settings.scanner.i0 == Settings().scanner.i0


def test_arguments_belong_to_their_network() -> None:
    base = {"denoiser": {"network": "cnn", "arguments": {"n_layers": 4, "n_channels": 8}}}
    same = make_settings(base, {"denoiser": {"arguments": {"n_layers": 6}}})
    assert same.denoiser.arguments == {"n_layers": 6, "n_channels": 8}
    other = make_settings(base, {"denoiser": {"network": "torch.nn.Identity"}})
    assert other.denoiser.arguments == {}


def test_an_empty_section_keeps_its_defaults() -> None:
    assert make_settings({"scanner": None}) == Settings()


def test_the_blend_follows_the_lambdas() -> None:
    """One example of `--set` must not need a second setting."""
    settings = make_settings(parse_overrides(["training.lambdas=[0,0.5,0.9]"]))
    assert settings.training.blend_lambda == 0.9
    assert make_settings({"training": {"lambdas": [0, 0.5], "blend_lambda": None}}).training.blend_lambda is None


@pytest.mark.parametrize(
    ("lambdas", "other"),
    [([0, 0.5, 0.9], 0.9), ([0, 0.5, 0.99], 0.5), ([0.2, 0, 0.1], 0.2), ([0, 0.95, 0.97], 0.97)],
)
def test_the_other_head_follows_the_lambdas(lambdas: list[float], other: float) -> None:
    """The largest λ up to 0.9, else the largest."""
    assert make_settings({"training": {"lambdas": lambdas}}).training.other_head_lambda == other
    none = make_settings({"training": {"lambdas": lambdas, "other_head_lambda": None}})
    assert none.training.other_head_lambda is None


def test_minus_0_is_0() -> None:
    settings = make_settings(parse_overrides(["training.lambdas=[-0.0, 0.5]"]))
    assert [math.copysign(1.0, weight) for weight in settings.training.lambdas] == [1.0, 1.0]
    assert settings == make_settings({"training": {"lambdas": [0, 0.5]}})


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"lambdas": [0.5, 0.9]}, "must hold 0"),
        ({"lambdas": [0, 0.5, 0.5]}, "must differ"),
        ({"blend_alphas": [0.2, 0.2]}, "must differ"),
        ({"lambdas": [0, 0.5], "blend_lambda": 0.9}, "blend_lambda is 0.9"),
        ({"lambdas": [0, -0.0]}, "must differ"),
        ({"other_head_lambda": 0}, "other_head_lambda is 0"),
        ({"other_head_lambda": 0.5}, "other_head_lambda is 0.5: give a λ > 0 of training.lambdas, or null"),
        ({"seeds": [1, 1]}, "must differ"),
    ],
)
def test_settings_that_do_not_go_together(training: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=r"^training\.") as caught:
        make_settings({"training": training})
    assert message in str(caught.value)


def test_signals_must_fit_into_the_region() -> None:
    """At most a signal's rim touches the region's: 12 + 8 / 2 = 32 x 1 / 2 mm."""
    tree = {"signal": {"position_mm": 12, "diameter_mm": [2, 8]}, "trials": {"region_pixels": 32}}
    make_settings(tree)
    with pytest.raises(UserError) as caught:
        make_settings(tree, {"scanner": {"pixel_mm": 0.9}})
    assert str(caught.value) == (
        "a signal may reach 16 mm from the region's centre (its site 12 mm + radius of signal up to 4 mm); allowed: "
        "14.4 mm (half of trials.region_pixels x scanner.pixel_mm)"
    )


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"name": "λ: [tricky] #name", "training": {"lambdas": [0, 0.123456789], "learning_rate": 1e-05}},
        {"scanner": {"i0": 1e9}, "denoiser": {"arguments": {"n_layers": 3, "deep": {"a": [1, 2.5, "x"]}}}},
    ],
)
def test_yaml_round_trip(tmp_path: Path, tree: dict[str, object]) -> None:
    settings = make_settings(tree)
    (tmp_path / "study.yaml").write_text(to_yaml(settings), encoding="utf-8")
    assert make_settings(read_yaml(tmp_path / "study.yaml")) == settings
    assert make_settings(yaml.safe_load(to_yaml(settings))) == settings  # and any YAML reader agrees


def test_a_settings_file_reads_numbers_as_people_write_them(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("scanner: {i0: 8e5, electronic_noise: 1.5E1}\ndenoiser: {arguments: {eps: 1e-3, mode: fast}}\n")
    settings = make_settings(read_yaml(file))
    assert (settings.scanner.i0, settings.scanner.electronic_noise) == (8e5, 15.0)
    assert settings.denoiser.arguments == {"eps": 1e-3, "mode": "fast"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"a: [1, 2", "is not valid YAML at line"),
        (b"a: !!int text", "is not valid YAML"),
        (b"- 1\n- 2\n", "holds no settings"),
        (b"just words", "holds no settings"),
        (b"\xe4: 1", "cannot be read as a settings file in UTF-8"),
        (b"a: !!python/object/apply:os.getcwd []", "is not valid YAML at line 1"),
    ],
)
def test_a_settings_file_that_is_none(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "s.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_yaml(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_an_empty_settings_file_is_the_default_study(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("# nothing yet\n")
    assert make_settings(read_yaml(tmp_path / "s.yaml")) == Settings()


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_valid(name: str) -> None:
    make_settings(read_preset(name))


def test_the_presets_of_the_pages_are_there() -> None:
    root = Path(__file__).parents[2]
    pages = [root / "README.md", *(root / "docs").glob("*.md")]
    named = {name for page in pages for name in re.findall(r"--preset ([a-z][a-z-]*)", page.read_text())}
    assert {"context", "demo", "liver", "lung", "real-ct"} <= named <= set(preset_names())
    with pytest.raises(UserError, match="choose one of context, demo"):
        read_preset("dmo")


def test_settings_never_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().scanner.n_views = 8


def test_a_signal_has_the_range_that_its_drawing_has():
    for name, allowed in SIGNAL_RANGES.items():
        for value in allowed.outside():
            with pytest.raises(UserError, match=f"signal.{name}"):
                make_settings({"signal": {name: [value, value]}})
    with pytest.raises(UserError, match=r"signal.lobe_depth\[0\] is 4: .* each in \[0, 3\]"):
        make_settings({"signal": {"shape": "spiculated", "lobe_depth": [4, 4]}})


def test_a_long_spicule_counts_towards_a_signals_reach():
    long = {"shape": "spiculated", "lobe_depth": [1, 1], "aspect": [0.25, 1]}
    with pytest.raises(UserError, match=r"radius of absent_signal up to 24 mm"):  # 6 mm × 2 × √4
        make_settings({"absent_signal": {"inserted": True, "diameter_mm": [12, 12], **long}})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scanner": {"acquisition": "insertion"}}, "background.kind must be series"),
        (
            {"background": {"kind": "series"}, "scanner": {"acquisition": "insertion", "dose_fraction": 1}},
            "adds nothing",
        ),
        ({"background": {"kind": "paired"}, "scanner": {"reference": "normal-dose"}}, "the image itself"),
        ({"scanner": {"filter": "soft", "filter_cutoff": 0.5}}, "a cutoff of its own"),
    ],
)
def test_settings_that_contradict_each_other(changed, message):
    with pytest.raises(UserError, match=message):
        make_settings(changed)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"scanner": {"noise_hu": 50}}, ["scanner.noise_hu"]),
        ({"background": {"kind": "paired"}, "scanner": {"dose_fraction": 0.5}}, ["scanner.dose_fraction"]),
        ({"background": {"mean_hu": 500, "organ": "liver"}}, ["background.organ", "background.mean_hu"]),
        (
            {"signal": {"exponent": [2, 2]}, "absent_signal": {"shape": "nodule"}},
            ["signal.exponent", "absent_signal.shape"],
        ),
        ({"signal": {"shape": "nodule", "exponent": [2, 2]}}, []),
        ({}, []),
    ],
)
def test_settings_without_effect_are_told(changed, named):
    assert [line.split()[0] for line in without_effect(make_settings(changed))] == named


@pytest.mark.parametrize("name", preset_names())
def test_no_preset_sets_what_has_no_effect(name):
    assert list(without_effect(make_settings(read_preset(name)))) == []


def test_a_lesion_preset_wins_over_earlier_files_and_loses_to_its_own():
    file = {"signal": {"contrast_hu": [30, 70]}, "scanner": {"n_bins": 640}}
    settings = make_settings(file, {"signal": {"preset": "liver-metastasis"}, "scanner": {"preset": "ge-lightspeed"}})
    assert settings.signal.contrast_hu == (-68, -23)
    assert settings.scanner.n_bins == 888
    own = make_settings(file, {"signal": {"preset": "liver-metastasis", "contrast_hu": [-10, -5]}})
    assert own.signal.contrast_hu == (-10, -5)
    assert make_settings(yaml.safe_load(to_yaml(own))) == own


def test_organs_go_by_number_or_name():
    settings = make_settings({"background": {"organ": 5, "organs": {5: {"hu": 110}}}})
    assert settings.background.organ == "5"
    assert make_settings(yaml.safe_load(to_yaml(settings))) == settings


def test_null_for_a_section_is_no_training_or_refused() -> None:
    assert make_settings(parse_overrides(["training=null"])).training.method == "none"
    assert make_settings(parse_overrides(["training=null", "training.method=joint"])).training.method == "joint"
    for name in ("scanner", "path", "imported"):
        with pytest.raises(UserError, match=f"{name} is a section"):
            parse_overrides([f"{name}=null"])
    assert make_settings(parse_overrides(["training.patch_pixels=null"])).training.patch_pixels is None
