"""One entry in a registry is enough: settings, page and command line take their names from it."""

import inspect
from importlib import import_module

import pytest

from human_noise import HUMAN_NOISE
from taskct.cli.observe_options import OF
from taskct.config import Settings, dotted_settings, make_settings, range_of
from taskct.config.tree import BackgroundSettings, ObserverSettings, ProfileSettings
from taskct.errors import UserError
from taskct.names import JOINT
from taskct.observer_registry import CONDITIONS, OBSERVERS, observers_in_study
from taskct.observers.fresh import Eye, observer_told
from taskct.report.labels import OBSERVERS as LABELS
from taskct.report.labels import observer_label
from taskct.simulation.describe import describe
from taskct.tasks.background_registry import BACKGROUNDS
from taskct.tasks.shape_registry import SHAPE_KINDS, SHAPES
from taskct.tasks.signals import Signals

FIELDS = dict(dotted_settings())
EYE = Eye(0.7, 500.0, 1.0, 3.0, 0.5)


def test_the_settings_offer_what_the_registries_hold() -> None:
    assert range_of(FIELDS["background.kind"]) == " | ".join(BACKGROUNDS)
    assert range_of(FIELDS["signal.shape"]) == f"of {' | '.join(SHAPES)}"
    assert range_of(FIELDS["observers.more"]) == f"of {' | '.join(observers_in_study('on request'))}"
    for tree in ({"background": {"kind": "fog"}}, {"signal": {"shape": "star"}}, {"observers": {"more": ["slnn"]}}):
        with pytest.raises(UserError, match="allowed: "):
            make_settings(tree)


def test_the_page_names_every_observer_and_the_command_line_those_that_need_an_option() -> None:
    assert list(LABELS) == [JOINT, *OBSERVERS]
    assert observer_label("npwe") == "fresh NPWE"
    assert OF["internal_noise_hu"] == "ho-eye"
    assert OF["signal"] == "npw, npwe, pwmf"


@pytest.mark.parametrize("name", OBSERVERS)
def test_an_observer_takes_what_its_entry_says_it_needs(name: str) -> None:
    entry = OBSERVERS[name]
    kind = getattr(import_module(f"taskct.observers.{entry.module}"), entry.name)
    taken = set(inspect.signature(kind).parameters)
    assert {*entry.needs, *entry.settings} <= taken
    assert taken & {*CONDITIONS, "device", "signal", "covariance", "human"} - {"pixel_mm"} <= {*entry.needs}
    assert entry.candidates in {"", *ObserverSettings.model_fields}
    if "covariance" not in entry.needs:
        made = observer_told(name, EYE, seed=3, human=HUMAN_NOISE)
        for what in entry.needs:
            if what in CONDITIONS:
                assert getattr(made, what) == (3 if what == "seed" else getattr(EYE, what))


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_a_background_uses_settings_that_there_are_and_its_maker_takes_them(kind: str) -> None:
    entry = BACKGROUNDS[kind]
    assert set(entry.uses) <= set(BackgroundSettings.model_fields)
    assert entry.text in describe(make_settings({"background": {"kind": kind}})) or entry.files == "pairs"
    if not entry.files:
        module, maker = entry.maker
        make = getattr(import_module(f"taskct.tasks.backgrounds.{module}"), maker)
        taken = {*inspect.signature(make).parameters}
        assert {*entry.uses} - {*entry.of_texture} <= taken
        if entry.texture:
            make_texture = getattr(import_module("taskct.tasks.backgrounds.fields"), entry.texture)
            assert {*inspect.signature(make_texture).parameters} == {*entry.of_texture} <= {*entry.uses}
            assert "texture" in taken


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_uses_properties_that_there_are(name: str) -> None:
    uses = set(SHAPE_KINDS[name].uses)
    assert uses <= set(Signals.__dataclass_fields__)
    assert uses - {"outline"} <= set(ProfileSettings.model_fields)
    assert SHAPE_KINDS[name].text in describe(Settings.model_validate({"signal": {"shape": name}}))
