import re
from pathlib import Path

from taskct.observer_registry import OBSERVERS
from taskct.report import load_run
from taskct.report.methods import OF_OBSERVERS, REFERENCES, methods_section

SOURCES = Path(__file__).parents[2]


def test_every_reference_is_one_of_the_documentation():
    known = (SOURCES / "docs" / "method.md").read_text()
    known += (SOURCES / "src" / "taskct" / "metrics" / "comparisons.py").read_text()
    assert [source for source in REFERENCES.values() if source not in known] == []
    assert set(OF_OBSERVERS.values()) <= set(REFERENCES)


def test_every_observer_of_a_study_has_a_source():
    named = {name for name, entry in OBSERVERS.items() if entry.in_study != "no" and not name.startswith("cho_")}
    assert named <= set(OF_OBSERVERS)


def test_numbers_lead_to_references_in_order(run_folder):
    found = methods_section(load_run(run_folder))
    cited = [
        int(n) for text in found.paragraphs for group in re.findall(r"\[([\d, ]+)\]", text) for n in group.split(",")
    ]
    assert set(cited) == set(range(1, len(found.references) + 1))
    firsts = list(dict.fromkeys(cited))
    assert firsts == sorted(firsts)
    assert len(set(found.references)) == len(found.references)
    assert found.text.endswith(f"{len(found.references)}. {found.references[-1]}")


def test_settings_are_told(run_folder):
    text = methods_section(load_run(run_folder)).text
    assert "with λ of 0, 0.5, 0.75 and 0.9" in text
    assert "α of 0.2, 0.35, 0.5 and 0.75" in text
    assert "bootstrap of 200 resamples" in text
    assert "data range of 400 HU from −160 HU" in text
    assert "on 200 distinct slices" in text
    assert "the unit of every interval is the whole slice" in text
    assert "Obuchowski’s covariance" in text
    assert "highest AUC of the fresh HO behind an eye filter on the validation trials" in text


def test_settings_that_are_missing_are_left_out(make_run):
    run = make_run()
    (run / "study.yaml").write_text("name: liver\n")
    found = methods_section(load_run(run))
    assert "None" not in found.text
    assert "bootstrap [" in found.text
    assert REFERENCES["fbp"] not in found.references


def test_a_study_without_blends_has_no_word_on_them(make_run):
    run = make_run()
    (run / "study.yaml").write_text("name: liver\ntraining: {lambdas: [0, 0.9], blend_lambda: 0.9, blend_alphas: []}\n")
    text = methods_section(load_run(run)).text
    assert "with λ of 0 and 0.9" in text
    assert "Blends" not in text
