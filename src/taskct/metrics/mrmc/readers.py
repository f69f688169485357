"""Each reader by themselves: AUCs with intervals of the cases alone, and readers who tell nothing apart."""

import math

import numpy as np

from taskct.metrics.mrmc.areas import ReaderAUC
from taskct.metrics.mrmc.moments import MomentSums, by_class, distinct
from taskct.metrics.mrmc.ratings import Ratings
from taskct.metrics.roc import delong_covariance, delong_interval


def reader_aucs(ratings: Ratings, sums: MomentSums, *, confidence: float) -> dict[str, dict[str, ReaderAUC]]:
    """AUC of every reader, then modality, with the interval that the cases give; NaN where one rated too little."""
    result: dict[str, dict[str, ReaderAUC]] = {name: {} for name in ratings.readers}
    present_of, absent_of = by_class(ratings)
    for m, r in np.ndindex(sums.reader_auc.shape):
        present, absent = (own[m, r][~np.isnan(own[m, r])] for own in (present_of, absent_of))
        area, variance, delong, low, high = float(sums.reader_auc[m, r]), *[math.nan] * 4
        if min(len(present), len(absent)) >= 2:
            products, counts = (distinct(x[m, m, r]) for x in (sums.reader_products, sums.reader_counts))
            variance = area**2 - float(products[3] / counts[3])
            delong = float(delong_covariance(present[None], absent[None])[0, 0])
            interval = delong_interval(present, absent, confidence=confidence)
            low, high = interval.ci_low, interval.ci_high
        result[ratings.readers[r]][ratings.modalities[m]] = ReaderAUC(area, variance, delong, low, high)
    return result


def constant_notes(ratings: Ratings) -> list[str]:
    """Readers who gave all their cases of a modality the same score while others did not."""
    notes = []
    for m, modality in enumerate(ratings.modalities):
        spreads = [
            np.ptp(scores[~np.isnan(scores)]) if (~np.isnan(scores)).any() else 1.0 for scores in ratings.scores[m]
        ]
        constant = [reader for reader, spread in zip(ratings.readers, spreads, strict=True) if spread == 0.0]
        if constant and len(constant) < len(ratings.readers):
            kind = ratings.reader_kind
            notes.append(f"{modality}: {kind} {constant[0]!r} gave every case the same score, so tells nothing apart")
    return notes
