"""LROC areas over readers and cases: marks at the one most suspicious place of each image, as ratings."""

import numpy as np

from taskct.metrics.marks import NO_LESION, MarkStudy, check_one_mark
from taskct.metrics.mrmc.ratings import Ratings


def lroc_study(study: MarkStudy) -> Ratings:
    """Ratings whose AUC is the LROC area, of a study in which readers mark the one most suspicious place of each image.

    Diseased cases count as present, with the rating of their mark if it hits a lesion; one that hits none goes below
    all that its reader rated in that modality. So `analyze`, `obuchowski_rockette` and `size_study` are methods for
    LROC areas over readers and cases. (The weighted AFROC area of such a study is its LROC area too.)

    Raises
    ------
    UserError
        If a case that was read has not just one mark.

    Examples
    --------
    >>> from taskct.metrics.marks import CaseReading, ScoredMark, TrueLesion
    >>> readings = [CaseReading("A", "Ann", case) for case in ("sick", "well")]
    >>> marks = [ScoredMark("A", "Ann", "sick", None, 4.0), ScoredMark("A", "Ann", "well", None, 1.0)]
    >>> lroc_study(MarkStudy.of(readings, [TrueLesion("sick", "node")], marks)).scores[0, 0].round(3).tolist()
    [1.0, 1.0]
    """
    check_one_mark(study)
    scores = np.full(study.read.shape, np.nan)
    scores[tuple(study.mark_at[:, :3].T)] = study.mark_rating
    lowest = np.nextafter(np.where(study.read, scores, np.inf).min(axis=2, keepdims=True), -np.inf)
    wrong_place = np.zeros(study.read.shape, dtype=np.bool_)
    wrong_place[tuple(study.mark_at[:, :3].T)] = study.mark_at[:, 3] == NO_LESION
    scores = np.where(wrong_place & study.diseased & study.read, lowest, scores)
    return Ratings(scores, study.diseased, study.modalities, study.readers, study.cases, study.reader_kind)
