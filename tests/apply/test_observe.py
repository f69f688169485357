"""Observers on a user's images: against the closed form of a task, and what each result rests on."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from taskct.apply.observe import EvaluationPlan, Eye, Known, Task, readings
from taskct.apply.observe import observe as measure
from taskct.apply.observe.readings import build
from taskct.errors import UserError
from taskct.files import json_values
from taskct.io.truth_table import Truth
from taskct.metrics.clustered import Clusters
from taskct.metrics.clustered_readers import clustered_readers_difference, clustered_readers_interval
from taskct.metrics.exact_cho import exact_cho_interval
from taskct.metrics.lroc import correct_localization, lroc_area
from taskct.metrics.mrmc.analysis import analyze
from taskct.metrics.operating import sensitivity_interval
from taskct.metrics.roc import auc, delong_interval, paired_delong
from taskct.observers import make_observer
from taskct.observers.channels import laguerre_gauss
from taskct.observers.choice import fit_chosen
from taskct.observers.learning_law import expected_auc

EYE = Eye(pixel_mm=0.7, viewing_distance_mm=500.0, magnification=1.0, internal_noise_hu=3.0, internal_noise=0.0)
SIDE, NOISE_HU = 12, 20.0
AXIS = np.arange(SIDE) - (SIDE - 1) / 2
BLOB = 14.0 * np.exp(-(AXIS[:, None] ** 2 + AXIS**2) / 8.0)
IDEAL = float(norm.cdf(np.sqrt(np.sum(BLOB**2) / NOISE_HU**2 / 2.0)))  # white noise, signal known exactly


def observe(images, task, names, *, eye=EYE, versus=None, known=None, **plan):
    """`taskct.apply.observe.observe` with its plan spelled out."""
    told = EvaluationPlan(**{"n_training_sets": 1} | plan)
    return measure(images, task, names, eye=eye, versus=versus, known=known, plan=told)


def white(n, seed=0, **truth):
    """Images of a blob in white noise, one half of them signal-present, and their truth."""
    rng = np.random.default_rng(seed)
    present = rng.permutation(np.arange(n) < n // 2)
    images = rng.normal(40.0, NOISE_HU, (n, SIDE, SIDE)) + present[:, None, None] * BLOB
    known = {"centres_px": None, "cases": None, "in_test": None} | truth
    return images.astype(np.float32), Truth(present, **known)


def wandering(n, seed=0, side=24):
    """The same blob at a random site of a larger image."""
    rng = np.random.default_rng(seed)
    present = np.arange(n) % 2 == 0
    centres = rng.integers(6, side - 6, size=(n, 2))
    axis = np.arange(side)
    distance2 = (axis[None, :, None] - centres[:, :1, None]) ** 2 + (axis[None, None, :] - centres[:, 1:, None]) ** 2
    images = rng.normal(0.0, NOISE_HU, (n, side, side)) + present[:, None, None] * 28.0 * np.exp(-distance2 / 4.0)
    return images.astype(np.float32), Truth(present, centres.astype(float), None, None)


def test_a_matched_filter_reaches_the_ideal_auc_and_a_trained_observer_not_quite():
    images, truth = white(4000)
    covariance = NOISE_HU**2 * np.eye(SIDE**2)
    found = observe(images, Task(truth), ["pwmf", "ho", "cho-lg"], eye=EYE, known=Known(covariance))
    pwmf, ho, cho = (one.images for one in found.observers)
    # The template is the signal and noise of 4σ²/2,000 a pixel: on average wᵀs = sᵀs, wᵀw = sᵀs + 144 · 4σ²/2,000.
    energy, noise = np.sum(BLOB**2), SIDE**2 * 4 * NOISE_HU**2 / 2000
    learned = norm.cdf(energy / np.sqrt(energy + noise) / NOISE_HU / np.sqrt(2.0))
    # The AUC's standard error from 1,000 + 1,000 test trials is below 0.008; 4 of them: 1 in 16,000.
    assert pwmf.auc.value == pytest.approx(learned, abs=0.032)
    assert learned < IDEAL - 0.002
    # A ridge does no worse than none, whose mean AUC on new trials is known.
    plain = expected_auc(float(np.sqrt(energy) / NOISE_HU), 2000, SIDE**2)
    assert plain - 0.032 < ho.auc.value < learned + 0.032
    assert pwmf.auc.ci_low < pwmf.auc.value < pwmf.auc.ci_high
    assert pwmf.d_a.value == pytest.approx(np.sqrt(2.0) * norm.ppf(pwmf.auc.value))
    assert cho.gaussian_auc is not None
    assert cho.gaussian_auc.ci_low < cho.gaussian_auc.value < cho.gaussian_auc.ci_high
    assert pwmf.gaussian_auc is None
    assert found.about["train"] == {"present": 1000, "absent": 1000, "cases": None}
    assert found.about["test"] == {"present": 1000, "absent": 1000, "cases": None}


def test_an_observer_sees_no_test_trial():
    # Images without any signal: whoever learned from its own test trials would find them apart.
    images, truth = white(200, seed=3)
    images -= (truth.signal_present[:, None, None] * BLOB).astype(np.float32)
    for name in ("ho", "slnn", "cho-pls"):
        area = observe(images, Task(truth), [name], eye=EYE).observers[0].images.auc.value
        assert area == pytest.approx(0.5, abs=4 * 0.058)  # 4 standard errors of 50 + 50 trials


def test_the_splits_of_the_truth_are_kept():
    images, truth = white(120)
    in_test = np.arange(120) < 40
    found = observe(images, Task(white(120, in_test=in_test)[1]), ["npw"], eye=EYE)
    np.testing.assert_array_equal(found.test, np.arange(40))
    assert found.about["train"]["present"] == truth.signal_present[40:].sum()


def test_versus_is_paired_trial_by_trial():
    images, truth = white(400)
    noisier = images + np.random.default_rng(5).normal(0, 30, images.shape).astype(np.float32)
    found = observe(images, Task(truth), ["npw"], versus=noisier, eye=EYE)
    one = found.observers[0]
    assert one.versus is not None
    t = np.stack([performance.readings[0].statistic for performance in (one.images, one.versus)])
    present = found.signal_present
    assert one.difference == paired_delong(t[:, present], t[:, ~present])
    assert one.difference.delta_auc == pytest.approx(one.images.auc.value - one.versus.auc.value)
    assert one.difference.ci_low > 0.0  # SNR halves: 0.87 against 0.74, five standard errors


def test_cases_are_not_shared_and_widen_the_interval():
    rng = np.random.default_rng(6)
    images, plain = white(400)
    cases = np.empty(400, dtype=int)
    cases[plain.signal_present], cases[~plain.signal_present] = np.repeat(np.arange(40), 10).reshape(2, 200)
    # What a case's images share moves all their statistics together.
    images = images + rng.normal(0, 6, 40)[cases][:, None, None].astype(np.float32) * (BLOB / BLOB.max())
    truth = white(400, cases=cases)[1]
    other = images + rng.normal(0, 20, images.shape).astype(np.float32)
    found = observe(images, Task(truth), ["npw"], versus=other, eye=EYE)
    assert len(set(cases[found.test])) == 20
    one = found.observers[0]
    assert one.images.method.startswith("clustered")
    t = np.stack([performance.readings[0].statistic for performance in (one.images, one.versus)])
    present = found.signal_present
    clusters = Clusters.of(cases[found.test][present], cases[found.test][~present])
    assert one.difference == paired_delong(t[:, present], t[:, ~present], clusters)
    assert plain.cases is None
    assert one.images.auc == delong_interval(t[0, present], t[0, ~present], clusters)
    trial_by_trial = delong_interval(t[0, present], t[0, ~present])
    assert one.images.auc.ci_high - one.images.auc.ci_low > 1.1 * (trial_by_trial.ci_high - trial_by_trial.ci_low)
    wanted = sensitivity_interval(t[0, present], t[0, ~present], specificity=0.9, clusters=clusters, seed=0)
    assert one.images.sensitivity == wanted
    # A regularization is chosen on cases that are not learned from; it works, and is named.
    assert "ridge" in observe(images, Task(truth), ["ho"], eye=EYE).observers[0].images.readings[0].regularization


def test_training_sets_are_readers():
    images, truth = white(600)
    found = observe(images, Task(truth), ["npw"], versus=images * 2.0, eye=EYE, n_training_sets=3, train_share=0.6)
    one = found.observers[0]
    ratings = found.ratings("npw")
    assert ratings.scores.shape == (2, 3, 240)
    analysis = analyze(ratings)
    assert one.images.auc.value == pytest.approx(analysis.modalities["images"].auc)
    assert one.images.auc.ci_low == analysis.modalities["images"].ci_low
    assert one.images.method.startswith("MRMC")
    # The three learned from trials of their own, so they do not agree.
    assert np.ptp([auc(t[ratings.signal_present], t[~ratings.signal_present]) for t in ratings.scores[0]]) > 0.0
    assert one.difference.delta_auc == pytest.approx(0.0, abs=1e-12)  # twice the image is the same to this observer


def test_a_known_site_helps_and_a_search_finds_it():
    images, truth = wandering(400)
    whole = observe(images, Task(truth), ["npw"], eye=EYE).observers[0].images
    centred = observe(images, Task(truth, "centred", 9), ["npw"], eye=EYE).observers[0].images
    found = observe(images, Task(truth, "scanning", 9, 3.0), ["npw", "ho"], eye=EYE)
    scanning = found.observers[0].images
    assert centred.auc.value > scanning.auc.value > whole.auc.value + 0.1
    reading, present = scanning.readings[0], found.signal_present
    correct = correct_localization(
        reading.found_px[present], truth.centres_px[found.test][present], radius_mm=3.0, pixel_mm=1.0
    )
    t = reading.statistic
    assert scanning.lroc_area.value == pytest.approx(lroc_area(t[present], t[~present], correct))
    assert scanning.located.value == pytest.approx(correct.mean())
    assert scanning.located.value > 0.4  # by chance π 3²/16² = 0.11; 100 trials
    assert scanning.lroc_area.value <= scanning.auc.value


def test_five_images_of_a_class_are_said_to_be_too_few():
    images, truth = white(10)
    found = observe(images, Task(truth), ["ho", "slnn"], eye=EYE).observers
    for one in found:
        notes = " ".join(one.images.readings[0].notes)
        assert "2 training trials of a class are too few to choose from" in notes
    assert "4 training trials for 144 pixels" in found[0].images.readings[0].small_sample


def test_a_learning_curve_on_request():
    images, truth = white(1200)
    curve = observe(images, Task(truth), ["cho-lg"], eye=EYE, learn=True).observers[0].learning
    assert curve is not None
    assert curve.n_trials[-1] == 600
    assert curve.asymptote is not None
    u = laguerre_gauss((SIDE, SIDE), width_px=SIDE / 5)
    projected = BLOB.ravel() @ u @ np.linalg.pinv(u.T @ u) @ u.T @ BLOB.ravel()
    closed_form = norm.cdf(np.sqrt(projected / 2.0) / NOISE_HU)
    assert curve.asymptote.ci_low < closed_form < curve.asymptote.ci_high


def test_everything_is_json():
    images, truth = white(200)
    found = observe(
        images, Task(truth), ["cho-lg"], versus=images[:, ::-1] * truth.signal_present[:, None, None], eye=EYE
    )
    content = json.loads(json.dumps(found.as_dict()))
    mine, one = content["observers"]["cho-lg"], found.observers[0]
    assert mine["auc"] == one.images.auc.value != one.versus.auc.value == mine["versus"]["auc"]
    assert mine["d_a"]["value"] == one.images.d_a.value
    assert mine["difference"]["p_holm"] == one.difference.p_value  # a single comparison
    assert {"auc", "ci_low", "ci_high", "method", "versus", "difference", "notes"} <= set(mine)


def test_the_same_seed_gives_the_same_result():
    images, truth = white(100)
    first, second, other = (observe(images, Task(truth), ["ho"], eye=EYE, seed=seed).as_dict() for seed in (0, 0, 1))
    assert first == second
    assert first != other


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"mode": "scanning", "window_px": 5}, "row_px and column_px"),
        ({"mode": "nowhere"}, "give whole, centred or scanning"),
        ({"window_px": 5}, "no use in mode whole"),
        ({"radius_px": 5.0}, "mode scanning alone"),
    ],
)
def test_a_setting_that_does_not_fit_the_mode(task, message):
    with pytest.raises(UserError, match=message):
        Task(white(20)[1], **task)


def test_wrong_input_is_one_line():
    images, truth = white(40)
    with pytest.raises(UserError, match="no signal-absent image among 40"):
        Task(Truth(np.ones(40, dtype=bool), None, None, None))
    for message, settings in (
        ("observe the other set with its own", {"names": ["pwmf"], "versus": images, "known": Known(np.eye(SIDE**2))}),
        ("each once", {"names": ["ho", "ho"]}),
        ("known observers", {"names": ["hotelling"]}),
        ("needs --covariance", {"names": ["pwmf"]}),
        ("the same trials", {"versus": images[:39]}),
        ("train_share is 1", {"train_share": 1.0}),
        ("cho-lg: .*channels need at least", {"names": ["cho-lg"], "n_training_sets": 3}),
        ("too few to be divided", {"n_training_sets": 10}),
        ("0 training sets", {"n_training_sets": 0}),
    ):
        settings = {"names": ["npw"], **settings}
        names = settings.pop("names")
        with pytest.raises(UserError, match=message):
            observe(images, Task(truth), names, eye=EYE, **settings)
    shared = white(40, cases=np.arange(40) // 20, in_test=np.arange(40) % 2 == 0)[1]
    with pytest.raises(UserError, match="2 cases stand in both splits"):
        observe(images, Task(shared), ["npw"], eye=EYE)
    with pytest.raises(UserError, match=r"numbers \d+ and \d+ of the images are the same to the last bit"):
        observe(np.full_like(images, 3.0), Task(truth), ["npw"], eye=EYE)


def test_the_exact_interval_is_of_fixed_channels_and_independent_trials_alone():
    images, truth = white(300)
    present = truth.signal_present
    one = observe(images, Task(truth), ["cho-lg"], versus=images - images[::-1] / 2, eye=EYE)
    for performance, stack in ((one.observers[0].images, images), (one.observers[0].versus, None)):
        if stack is not None:
            outputs = images.reshape(300, -1).astype(float) @ make_observer("cho-lg").fixed_basis(images.shape[1:])
            wanted = exact_cho_interval(outputs[present], outputs[~present])
            assert performance.gaussian_auc.value == pytest.approx(wanted.value, rel=1e-6)
            assert performance.gaussian_auc.ci_low == pytest.approx(wanted.ci_low, rel=1e-6)
    assert one.observers[0].versus.gaussian_auc != one.observers[0].images.gaussian_auc
    noisy = Eye(0.7, 500.0, 1.0, 3.0, internal_noise=0.5)
    assert observe(images, Task(truth), ["cho-lg"], eye=noisy).observers[0].images.gaussian_auc is None
    assert observe(images, Task(truth), ["cho-pls"], eye=EYE).observers[0].images.gaussian_auc is None
    clustered = white(300, cases=np.arange(300) // 3)[1]
    assert observe(images, Task(clustered), ["cho-lg"], eye=EYE).observers[0].images.gaussian_auc is None


def test_a_margin_is_tested_with_the_interval_that_is_shown():
    images, truth = white(600)
    noisier = images + np.random.default_rng(5).normal(0, 10, images.shape).astype(np.float32)
    for n_sets in (1, 3):
        found = observe(images, Task(truth), ["npw"], versus=noisier, eye=EYE, margin=0.1, n_training_sets=n_sets)
        one = found.observers[0]
        assert [test.aim for test in one.comparisons] == ["non-inferiority", "equivalence"]
        for test in one.comparisons:
            assert (test.ci_low, test.ci_high) == pytest.approx((one.difference.ci_low, one.difference.ci_high))
            assert test.alpha == pytest.approx(0.025)
        assert one.comparisons[0].shown == (one.difference.ci_low > -0.1)


def test_a_margin_says_nothing_where_no_trial_is_missed():
    images, truth = white(80)
    easy = images + (truth.signal_present[:, None, None] * 20 * BLOB).astype(np.float32)
    one = observe(easy, Task(truth), ["npw"], versus=2 * easy, eye=EYE, margin=0.05).observers[0]
    assert one.comparisons == ()
    assert any("no verdict on the margin: AUCs of 1.000 and 1.000" in note for note in one.notes)


def test_scanning_results_are_clustered_too():
    images, truth = wandering(400)
    cases = np.repeat(np.arange(40), 10)
    known = Truth(truth.signal_present, truth.centres_px, cases, None)
    mine = observe(images, Task(known, "scanning", 9), ["npw"], eye=EYE).observers[0].images
    # The images of a case share nothing here, so the interval is about as wide as that of single trials, not equal.
    assert mine.lroc_area.ci_low < mine.lroc_area.value < mine.lroc_area.ci_high
    assert mine.located.ci_low < mine.located.value < mine.located.ci_high
    assert mine.lroc_area.value <= mine.auc.value


def test_cases_that_cannot_be_told_apart_are_one_line():
    images, _ = white(40)
    one_case = white(40, cases=np.where(np.arange(40) < 20, 0, np.arange(40)), in_test=np.arange(40) < 20)[1]
    with pytest.raises(UserError, match="one case holds all test images"):
        observe(images, Task(one_case), ["npw"], eye=EYE)


def test_what_an_observer_is_told_reaches_it():
    eye = Eye(pixel_mm=0.6, viewing_distance_mm=700.0, magnification=1.5, internal_noise_hu=4.0, internal_noise=0.25)
    made = {name: build(name, eye, Known(), seed=3, device=torch.device("cpu")) for name in ("npwe", "ho-eye")}
    for observer in made.values():
        assert (observer.pixel_mm, observer.viewing_distance_mm, observer.magnification) == (0.6, 700.0, 1.5)
        assert observer.seed == 3
    assert made["npwe"].internal_noise == 0.25
    assert made["ho-eye"].internal_noise_hu == 4.0
    assert build("cho-lg", eye, Known(), seed=3, device=torch.device("cpu")).internal_noise == 0.25


def test_a_regularization_is_chosen_on_cases_that_were_not_learned_from(monkeypatch):
    seen = []

    def spy(observer, images, signal_present, *, validation=None, **settings):
        seen.append((images, validation))
        return fit_chosen(observer, images, signal_present, validation=validation, **settings)

    monkeypatch.setattr(readings, "fit_chosen", spy)
    cases = np.repeat(np.arange(40), 5)
    images, _ = white(200)
    observe(images, Task(white(200, cases=cases)[1]), ["ho"], eye=EYE)
    ((fitted, (validated, _)),) = seen
    case_of = {image.tobytes(): case for image, case in zip(images, cases, strict=True)}
    assert not {case_of[i.tobytes()] for i in fitted} & {case_of[i.tobytes()] for i in validated}


def test_a_learning_curve_is_tested_on_trials_of_its_own():
    images, truth = white(400, seed=4)
    images -= (truth.signal_present[:, None, None] * BLOB).astype(np.float32)  # nothing to find
    curve = observe(images, Task(truth), ["cho-lg"], eye=EYE, learn=True).observers[0].learning
    assert curve.mean[-1] == pytest.approx(0.5, abs=4 * 0.041)  # 4 standard errors of 100 + 100 trials


def test_an_auc_below_chance_is_said():
    images, _ = white(200, in_test=np.arange(200) < 100)
    truth = white(200, in_test=np.arange(200) < 100)[1]
    images[:100] -= 2 * (truth.signal_present[:100, None, None] * BLOB).astype(
        np.float32
    )  # dark where it learned bright
    one = observe(images, Task(truth), ["npw"], eye=EYE).observers[0]
    assert one.images.auc.ci_high < 0.5
    assert any("below chance" in note for note in one.notes)


def test_six_test_images_give_an_interval_within_1_and_no_p():
    images, truth = white(20, seed=7)
    noisier = images + np.random.default_rng(5).normal(0, 200, images.shape).astype(np.float32)
    for n_sets in (1, 2):
        settings = {"train_share": 0.7, "n_training_sets": n_sets, "margin": 0.05}
        found = observe(images, Task(truth), ["npw"], versus=noisier, **settings)
        one = found.observers[0]
        assert found.about["test"] == {"present": 3, "absent": 3, "cases": None}
        assert -1.0 <= one.difference.ci_low <= one.difference.delta_auc <= one.difference.ci_high <= 1.0
        assert math.isnan(one.difference.p_value)
        assert one.comparisons == ()
        assert any("no p: 3 + 3 test trials" in note and "no verdict" in note for note in one.notes)
        assert math.isnan(found.p_holm()["npw", "versus"])


def test_few_cases_have_no_p_however_many_images_they_hold():
    cases = np.repeat(np.arange(20), 10)
    images, truth = white(200, cases=cases)
    noisier = images + np.random.default_rng(5).normal(0, 20, images.shape).astype(np.float32)
    one = observe(images, Task(truth), ["npw"], versus=noisier, n_training_sets=1).observers[0]
    assert math.isnan(one.difference.p_value)
    assert any("no p: 10 test cases" in note for note in one.notes)


def test_at_the_ceiling_a_margin_has_no_verdict():
    images, truth = white(400, seed=8)
    easy = images + (truth.signal_present[:, None, None] * 0.5 * BLOB).astype(np.float32)
    other = easy + np.random.default_rng(1).normal(0, 4, images.shape).astype(np.float32)
    one = observe(easy, Task(truth), ["npw"], versus=other, margin=0.05, n_training_sets=1).observers[0]
    assert 0.98 < min(one.images.auc.value, one.versus.auc.value) < 1.0
    assert one.comparisons == ()
    assert any("both above 0.98" in note for note in one.notes)
    assert not math.isnan(one.difference.p_value)


def test_without_a_missed_trial_the_interval_of_a_difference_says_nothing():
    images, truth = white(200, seed=8)
    easy = images + (truth.signal_present[:, None, None] * 5 * BLOB).astype(np.float32)
    for n_sets in (1, 2):
        other = easy + np.random.default_rng(1).normal(0, 1, images.shape).astype(np.float32)
        one = observe(easy, Task(truth), ["npw"], versus=other, n_training_sets=n_sets).observers[0]
        assert (one.images.auc.value, one.difference.ci_low, one.difference.ci_high) == (1.0, 0.0, 0.0)
        assert any("a single point only because no test trial was missed" in note for note in one.notes)
    harder = observe(images, Task(truth), ["npw"], versus=other, n_training_sets=1).observers[0]
    assert not any("a single point" in note for note in harder.notes)


def test_ranks_that_the_trials_do_not_have_are_said():
    rng = np.random.default_rng(0)
    truth = white(200)[1]
    images = (rng.normal(size=200) + truth.signal_present)[:, None, None] * rng.normal(size=(12, 12))  # of rank 1
    one = observe(images.astype(np.float32), Task(truth), ["ho-svd"], n_training_sets=1).observers[0]
    assert one.images.readings[0].regularization == {"rank": 1}
    assert any("was left out of the choice: these trials allow 1 at most" in note for note in one.notes)


def test_by_default_the_interval_of_a_learned_observer_holds_its_training():
    images, truth = white(400)
    noisier = images + np.random.default_rng(5).normal(0, 20, images.shape).astype(np.float32)
    found = observe(images, Task(truth), ["npw"], versus=noisier, n_training_sets=None)
    one = found.observers[0]
    assert found.about["n_training_sets"] == 4
    assert one.images.method == "MRMC: over test trials and training sets"
    analysis = analyze(found.ratings("npw"))
    assert one.images.auc.value == analysis.modalities["images"].auc
    assert one.difference.p_value == analysis.differences["images-versus"].p_value_interval
    few = white(60)
    one = observe(few[0], Task(few[1]), ["npw"], n_training_sets=None).observers[0]
    assert one.images.method.startswith("cross-validated")
    one = observe(few[0], Task(few[1]), ["npw"], n_training_sets=None, division="split").observers[0]
    assert len(one.images.readings) == 1
    assert any("holds the choice of test trials alone: 15 + 15 training trials" in note for note in one.notes)


def test_an_observer_that_cannot_learn_from_a_part_learns_from_all_and_says_so():
    images, truth = white(200)
    one = observe(images, Task(truth), ["cho-gabor"], n_training_sets=None).observers[0]
    assert len(one.images.readings) == 1
    assert any("cannot learn from one of 4 training sets" in note for note in one.notes)
    with pytest.raises(UserError, match=r"cho-gabor: .*need at least"):
        observe(images, Task(truth), ["cho-gabor"], n_training_sets=4)


def test_training_sets_of_cases_are_analysed_by_case():
    cases = np.repeat(np.arange(120), 5)  # both classes in a case
    images, truth = white(600, cases=cases)
    noisier = images + np.random.default_rng(5).normal(0, 20, images.shape).astype(np.float32)
    found = observe(images, Task(truth), ["npw"], versus=noisier, n_training_sets=None, margin=0.3)
    one = found.observers[0]
    assert found.about["n_training_sets"] == 4
    assert one.images.method.startswith("Obuchowski–Rockette, clustered by case")
    scores, present = found.ratings("npw").scores, found.signal_present
    clusters = Clusters.of(cases[found.test][present], cases[found.test][~present])
    both = scores[:, :, present], scores[:, :, ~present]
    assert one.images.auc == clustered_readers_interval(both[0][0], both[1][0], clusters)
    assert one.difference == clustered_readers_difference(*both, clusters)[0]
    assert (one.comparisons[0].ci_low, one.comparisons[0].ci_high) == pytest.approx(
        (one.difference.ci_low, one.difference.ci_high)
    )


def test_a_known_signal_is_not_learned_and_favours_no_images():
    # White noise, and the same images smoothed: to the filter matched to each, smoothing changes AUC by a closed form.
    images, _ = white(1600, seed=11)
    smooth = gaussian_filter(images, (0, 1.0, 1.0), mode="wrap").astype(np.float32)
    seen = gaussian_filter(BLOB, 1.0, mode="wrap")
    impulse = np.zeros((SIDE, SIDE))
    impulse[0, 0] = 1.0
    kernel = np.fft.rfft2(gaussian_filter(impulse, 1.0, mode="wrap"))
    again = np.fft.irfft2(np.fft.rfft2(seen) * np.conj(kernel), s=seen.shape)  # what noise meets: the template smoothed
    wanted = norm.cdf(np.sum(BLOB**2) / np.linalg.norm(BLOB) / NOISE_HU / np.sqrt(2)) - norm.cdf(
        np.sum(seen**2) / np.linalg.norm(again) / NOISE_HU / np.sqrt(2)
    )
    few = white(1600, seed=11, in_test=np.random.default_rng(0).random(1600) > 0.05)[1]  # 40 + 40 to learn from
    told, learned = (
        observe(images, Task(few), ["npw"], versus=smooth, known=known, n_training_sets=None).observers[0]
        for known in (Known(signal=BLOB, rival_signals=(seen,)), None)
    )
    error = (told.difference.ci_high - told.difference.ci_low) / 3.92
    assert told.difference.delta_auc == pytest.approx(wanted, abs=4 * error)  # 1 in 16,000
    assert len(told.images.readings) == 1
    assert told.images.method.startswith("DeLong: over test trials; it was told the signal")
    assert told.images.auc.value == pytest.approx(IDEAL, abs=4 * 0.012)
    # Learned from few, white noise costs the sharp images much and the smooth ones little.
    assert learned.difference.delta_auc < told.difference.delta_auc - 0.03
    assert any("errs in favour of the smoother, here those of --versus; give --signal" in n for n in learned.notes)
    assert not any("errs in favour" in note for note in told.notes)


def test_a_signal_is_shown_in_the_window_and_must_fit():
    images, _ = white(200)
    truth = white(200, centres_px=np.tile([5.0, 6.0], (200, 1)))[1]
    task = Task(truth, "centred", 5)
    whole = observe(images, task, ["npw"], known=Known(signal=BLOB)).observers[0]
    cropped = observe(images, task, ["npw"], known=Known(signal=BLOB[3:8, 4:9])).observers[0]
    assert whole.images.auc == cropped.images.auc
    with pytest.raises(UserError, match="the signal is 3 × 3 pixels, but observers see 5 × 5"):
        observe(images, task, ["npw"], known=Known(signal=BLOB[:3, :3]))
    with pytest.raises(UserError, match="a signal is for npw, npwe, pwmf"):
        observe(images, Task(truth), ["ho"], known=Known(signal=BLOB))


def test_learning_curves_of_both_sets_and_of_the_difference_with_cases():
    cases = np.repeat(np.arange(80), 5)
    images, truth = white(400, cases=cases)
    noisier = images + np.random.default_rng(5).normal(0, 20, images.shape).astype(np.float32)
    found = observe(images, Task(truth), ["npw"], versus=noisier, learn=True)
    one = found.observers[0]
    curves = one.learning_difference
    np.testing.assert_allclose(curves.mean, curves.first.mean - curves.second.mean)
    assert curves.n_trials[-1] == len(cases) - len(found.test)
    # All training trials are drawn at the last size: every repeat is the observer that was measured.
    assert curves.mean[-1] == pytest.approx(one.difference.delta_auc)
    assert one.learning.mean[-1] == pytest.approx(one.images.auc.value)
    assert curves.first is one.learning
    content = json.loads(json.dumps(json_values(found.as_dict())))["observers"]["npw"]
    assert content["difference"]["learning_curve"]["delta_auc"] == pytest.approx(curves.mean.tolist())
    assert content["versus"]["learning_curve"]["auc"] == pytest.approx(curves.second.mean.tolist())


def test_one_observer_fails_alone_and_is_named():
    images, truth = white(40)
    found = observe(images, Task(truth), ["cho-gabor", "npw"])
    assert [one.name for one in found.observers] == ["npw"]
    assert "need at least" in found.failed["cho-gabor"]
    assert found.as_dict()["failed"] == found.failed
    with pytest.raises(UserError, match=r"cho-gabor: .*; cho-sdog: "):
        observe(*white(8)[:1], Task(white(8)[1]), ["cho-gabor", "cho-sdog"])


def test_images_held_against_themselves_are_said():
    images, truth = white(80)
    found = observe(images, Task(truth), ["npw"], versus=images.copy())
    assert any("the images themselves" in note for note in found.notes)
    assert found.observers[0].difference.delta_auc == 0.0
    assert observe(images, Task(truth), ["npw"], versus=2 * images).notes == ()


def test_the_default_interval_covers_other_training_and_other_test_trials():
    rng, n_studies = np.random.default_rng(17), 200
    templates = BLOB.ravel() + rng.normal(0.0, NOISE_HU * np.sqrt(2 / 10), (20_000, SIDE**2))  # 10 + 10 to a set
    separation = templates @ BLOB.ravel() / np.linalg.norm(templates, axis=1)
    wanted = norm.cdf(separation / NOISE_HU / np.sqrt(2)).mean()
    hits = 0
    for study in range(n_studies):
        images, truth = white(160, seed=1000 + study)
        area = observe(images, Task(truth), ["npw"], n_training_sets=None).observers[0].images.auc
        hits += area.ci_low < wanted < area.ci_high
    # 4 standard errors of 200 studies about 95 %: 1 in 16,000, were it exact.
    assert abs(hits / n_studies - 0.95) < 4 * np.sqrt(0.95 * 0.05 / n_studies)
