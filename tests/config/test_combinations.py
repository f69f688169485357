"""Values that settings are to have in turn: what is read, what folders are called, and what is refused."""

import itertools

import pytest

from taskct.config import make_settings, parse_overrides
from taskct.config.combinations import combinations_of, parse_axis
from taskct.errors import UserError


def test_every_combination_gives_its_settings_and_a_folder_of_its_own():
    doses, contrasts, kernels = [0.1, 0.25, 1.0], [[7.0, 7.0], [10.0, 14.0]], ["hann", "ram-lak"]
    found = combinations_of(
        ["scanner.dose_fraction=0.1,0.25,1", "signal.contrast_hu=[7,7],[10,14]", "scanner.filter=hann,ram-lak"]
    )
    assert len({one.name.casefold() for one in found}) == 12
    settings = [make_settings(parse_overrides(one.overrides)) for one in found]
    got = [(one.scanner.dose_fraction, list(one.signal.contrast_hu), one.scanner.filter) for one in settings]
    assert got == list(itertools.product(doses, contrasts, kernels))
    assert found[0].name == "dose_fraction=0.1,contrast_hu=7,filter=hann"
    assert found[-1].name == "dose_fraction=1,contrast_hu=10_14,filter=ram-lak"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("scanner.electronic_noise=1e1", [10.0]),
        ("scanner.dose_fraction=[0.1, 0.2]", [0.1, 0.2]),
        ("signal.contrast_hu=[3,7]", [[3, 7]]),
        ("signal.contrast_hu=[[3,7],[8,9]]", [[3, 7], [8, 9]]),
        ("signal.diameter_mm=[[4,4]]", [[4, 4]]),
        ("signal.sites_mm=[[0,0]]", [[[0, 0]]]),
        ("signal.sites_mm=[[[0,0]],[[5,5]]]", [[[0, 0]], [[5, 5]]]),
        ("training.lambdas=[0,0.5],[0,0.9]", [[0, 0.5], [0, 0.9]]),
        ("signal.shape=[disc,gaussian]", [["disc", "gaussian"]]),
        ("denoiser.arguments.n_layers=[3,9]", [3, 9]),
        ("scanner.bowtie_mm=null,80", [None, 80]),
        ("background.path='x,y',z", ["x,y", "z"]),
        (" seed =1", [1]),
    ],
)
def test_values_are_those_of_the_list(text, values):
    assert parse_axis(text) == (text.partition("=")[0].strip(), values)


def test_settings_that_end_alike_keep_their_whole_names_and_paths_make_one_folder():
    found = combinations_of(["signal.contrast_hu=[7,7]", "absent_signal.contrast_hu=[5,5]", "background.path=/a/b"])
    assert [one.name for one in found] == ["signal.contrast_hu=7,absent_signal.contrast_hu=5,path=_a_b"]


def test_a_name_too_long_for_a_folder_is_shortened_and_stays_its_own():
    found = combinations_of([f"background.path={'a' * 300}1,{'a' * 300}2"])
    assert len({one.name for one in found}) == 2
    assert max(len(one.name.encode()) for one in found) < 250


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["scanner.dose_fraction"], "write section.name=value,value"),
        (["=0.1"], "write section.name=value,value"),
        (["scanner..x=0.1"], "write section.name=value,value"),
        (["scanner.dose_fraction="], "give values"),
        (["scanner.dose_fraction=[]"], "give values"),
        (["scanner.dose_fraction=0.1,[0.2"], "the values are not YAML"),
        (["scanner.dose_fraction=0.1]"], "the values are not YAML"),
        (["scanner.dose_fraction=0.5,0.50"], "0.5 stands there twice"),
        (["signal.contrast_hu=[7,7],[7.0,7]"], "7 stands there twice"),
        (["scanner={dose_fraction: 0.1}"], "not a section"),
        (["seed=1", "seed=2"], "--each seed is given twice"),
        (["background.path=/a/b,/a_b"], "would share the folder"),
        (["scanner.filter=hann,HANN"], "would share the folder"),
    ],
)
def test_what_is_no_list_of_values_is_refused_in_one_line(texts, message):
    with pytest.raises(UserError, match=message) as caught:
        combinations_of(texts)
    assert "\n" not in str(caught.value)
