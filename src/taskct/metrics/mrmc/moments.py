"""Sums of products of successes over readers and cases: all that the U-statistic variance needs, for any design."""

from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError
from taskct.metrics.mrmc.ratings import Ratings

_TILE = 2**18  # pairs of cases at once: some megabytes, and the fastest on a modest machine


@dataclass(frozen=True)
class MomentSums:
    """Sums over pairs of successes, one success from each of two modalities; m modalities and r readers.

    A success is 1 where a reader scores a signal-present case above a signal-absent one, ½ for a tie and 0 otherwise.
    Two successes share the reader, the present case, the absent case, or some of them. The last axis of the sums runs
    over the eight ways, in the order of the moments M1 to M8 of Gallas (2006):

    | | absent and present case shared | present only | absent only | neither |
    |---|---|---|---|---|
    | reader shared | M1 | M2 | M3 | M4 |
    | reader free | M5 | M6 | M7 | M8 |

    What is not shared is free here: it may be the same by chance. Sums are therefore those of the V-statistic;
    `distinct` takes out what coincides. Sources: Gallas, Acad. Radiol. 13, 353 (2006); Gallas & Brown, Neural Netw. 21,
    387 (2008), designs that are not fully crossed.
    """

    auc: NDArray[np.float64]  # of each modality, pooled over all pairs of all readers, `(m,)`
    reader_auc: NDArray[np.float64]  # of each reader, NaN where one rated no pair, `(m, r)`
    by_present: NDArray[np.float64]  # sum of a reader's successes with each present case, `(m, r, n_present)`
    by_absent: NDArray[np.float64]  # the same with each absent case, `(m, r, n_absent)`
    reader_products: NDArray[np.float64]  # sums of products of each reader, for M1 to M4, `(m, m, r, 4)`
    reader_counts: NDArray[np.float64]  # how many products each of `reader_products` sums; the same shape
    products: NDArray[np.float64]  # sums of products, `(m, m, 8)`
    crosses: NDArray[np.float64]  # the same with 1 for each success of the second modality that was rated
    counts: NDArray[np.float64]  # how many products each of `products` sums; the same shape
    of_present: NDArray[np.float64]  # what each present case adds to the AUC, beyond its share, `(m, n_present)`
    of_absent: NDArray[np.float64]  # the same of each absent case, `(m, n_absent)`


def by_class(ratings: Ratings) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of signal-present and of signal-absent cases, each `(n_modalities, n_readers, n_cases)`."""
    return ratings.scores[..., ratings.signal_present], ratings.scores[..., ~ratings.signal_present]


def centred(sums: MomentSums) -> NDArray[np.float64]:
    """Sums of products of successes less the AUC of their modality, in the place of `sums.products`."""
    crosses = sums.crosses * sums.auc[:, None]  # by the second modality's AUC
    means = np.multiply.outer(sums.auc, sums.auc)[..., None]
    return sums.products - crosses - crosses.transpose(1, 0, 2) + means * sums.counts


def distinct(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over pairs in which what is not shared is different, from sums in which it is free.

    The last axis has 8 ways, or 4 for one reader. One reader, 2 absent and 3 present cases: 6 successes, 36 pairs of
    them, 12 of which share no case.

    >>> distinct(np.array([6.0, 12.0, 18.0, 36.0]))
    array([ 6.,  6., 12., 12.])
    """
    without = np.array([[1.0, 0.0], [-1.0, 1.0]])
    matrix = np.kron(without, without)
    return sums @ (np.kron(without, matrix) if sums.shape[-1] == 8 else matrix).T


def moment_sums(ratings: Ratings) -> MomentSums:
    """Sum products of successes over all readers and cases that were rated.

    The time grows as readers × present × absent cases; memory does not. A UserError, if a class of cases is empty or no
    reader rated a present and an absent case in one of the modalities.
    """
    present, absent = by_class(ratings)
    if not present.shape[-1] or not absent.shape[-1]:
        empty = "present" if not present.shape[-1] else "absent"
        raise UserError(f"no signal-{empty} case: an ROC analysis needs cases of both classes")
    rated_present, rated_absent = (~np.isnan(scores) for scores in (present, absent))
    rated = _Marginals(
        rated_present * rated_absent.sum(-1, dtype=np.float64, keepdims=True),
        rated_absent * rated_present.sum(-1, dtype=np.float64, keepdims=True),
    )
    for name, n_pairs in zip(ratings.modalities, rated.total.sum(axis=1), strict=True):
        if not n_pairs:
            raise UserError(f"modality {name!r}: no reader rated a signal-present and a signal-absent case in it")
    ranks = _ranks(present, absent)
    wins = _Marginals((ranks.below + ranks.not_above.astype(np.float64)) / 2.0, ranks.beaten_by / 2.0)
    same, pooled, pooled_rated = _sum_over_pairs(ranks, rated_present, rated_absent)
    same_rated = _wins_where_both_rated(ranks, rated_present, rated_absent)
    reader_products, products = _eight_sums(wins, wins, same, pooled)
    shared = np.ones(())
    for seen in (rated_present.astype(np.float64), rated_absent.astype(np.float64)):
        shared = shared * np.einsum("ark,bsk->abrs", seen, seen)
    reader_counts, counts = _eight_sums(rated, rated, np.einsum("abrr->abr", shared), shared.sum(axis=(2, 3)))
    n_pairs = rated.total.sum(axis=1)
    auc = wins.total.sum(axis=1) / n_pairs
    of_present, of_absent = (
        (won.sum(axis=1) - auc[:, None] * seen.sum(axis=1)) / n_pairs[:, None]
        for won, seen in ((wins.present, rated.present), (wins.absent, rated.absent))
    )
    return MomentSums(
        auc=auc,
        reader_auc=np.divide(wins.total, rated.total, out=np.full_like(wins.total, np.nan), where=rated.total > 0),
        by_present=wins.present,
        by_absent=wins.absent,
        reader_products=reader_products,
        reader_counts=reader_counts,
        products=products,
        crosses=_eight_sums(wins, rated, same_rated, pooled_rated)[1],
        counts=counts,
        of_present=of_present,
        of_absent=of_absent,
    )


@dataclass(frozen=True)
class _Marginals:
    """Sums of successes, or of ones where rated, over the cases of the other class."""

    present: NDArray[np.float64]  # for each present case over the absent ones, `(m, r, n_present)`
    absent: NDArray[np.float64]  # for each absent case over the present ones, `(m, r, n_absent)`

    @property
    def total(self) -> NDArray[np.float64]:
        """Over all pairs, shape `(n_modalities, n_readers)`."""
        return np.asarray(self.present.sum(axis=-1), dtype=np.float64)


def _eight_sums(
    x: _Marginals, y: _Marginals, same: NDArray[np.float64], pooled: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of products x·y in the eight ways: of each reader `(m, m, r, 4)`, and of all `(m, m, 8)`.

    `same` is M1's of each reader, `pooled` is M5's; the others follow from the marginals.
    """
    by_reader = np.stack(
        [
            same,
            np.einsum("arj,brj->abr", x.present, y.present),
            np.einsum("ari,bri->abr", x.absent, y.absent),
            np.einsum("ar,br->abr", x.total, y.total),
        ],
        axis=-1,
    )
    free = [
        pooled,
        x.present.sum(axis=1) @ y.present.sum(axis=1).T,
        x.absent.sum(axis=1) @ y.absent.sum(axis=1).T,
        np.multiply.outer(x.total.sum(axis=1), y.total.sum(axis=1)),
    ]
    return by_reader, np.concatenate([by_reader.sum(axis=2), np.stack(free, axis=-1)], axis=-1)


@dataclass(frozen=True)
class _Ranks:
    """Ranks of every score, `(m, r, n)`: among the same reader's scores of the other class, but for `place`."""

    place: NDArray[np.integer]  # of an absent case among the absent, from 0; n_absent where not rated
    below: NDArray[np.integer]  # absent cases below a present one; 0 where not rated
    not_above: NDArray[np.integer]  # the same, ties included
    beaten_by: NDArray[np.integer]  # twice the present cases above an absent one, plus those that tie


def _ranks(present: NDArray[np.float64], absent: NDArray[np.float64]) -> _Ranks:
    n_absent = absent.shape[-1]
    kind = np.int16 if n_absent < 2**15 else np.int32
    place, beaten_by = np.full(absent.shape, n_absent, dtype=kind), np.zeros(absent.shape, dtype=np.int64)
    below, not_above = np.zeros(present.shape, dtype=kind), np.zeros(present.shape, dtype=kind)
    for at in np.ndindex(absent.shape[:2]):
        rated_absent, rated_present = (np.flatnonzero(~np.isnan(scores[at])) for scores in (absent, present))
        order = rated_absent[np.argsort(absent[at][rated_absent])]
        in_order, shown = absent[at][order], np.sort(present[at][rated_present])
        place[at][order] = np.arange(len(order))
        below[at][rated_present] = np.searchsorted(in_order, present[at][rated_present], side="left")
        not_above[at][rated_present] = np.searchsorted(in_order, present[at][rated_present], side="right")
        not_beaten = np.searchsorted(shown, in_order, side="left") + np.searchsorted(shown, in_order, side="right")
        beaten_by[at][order] = 2 * len(shown) - not_beaten
    return _Ranks(place, below, not_above, beaten_by)


def _sum_over_pairs(
    ranks: _Ranks, rated_present: NDArray[np.bool_], rated_absent: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """What needs every pair of cases: for each two modalities the sums of products on one pair.

    Of one reader's successes, `(m, m, r)`; of those of all readers, `(m, m)`; of these and ones where rated, `(m, m)`.
    """
    n_modalities, n_readers, n_present = ranks.below.shape
    # A success is the mean of two layers of 0 and 1, below and not above; without ties they are the same.
    layers = [ranks.below] if np.array_equal(ranks.below, ranks.not_above) else [ranks.below, ranks.not_above]
    same = np.zeros((n_modalities, n_modalities, n_readers))
    pooled, pooled_rated = (np.zeros((n_modalities, n_modalities)) for _ in range(2))
    kind = np.int8 if len(layers) * n_readers < 2**7 else np.int32
    n_rows = max(1, _TILE // n_present)
    for start in range(0, rated_absent.shape[-1], n_rows):
        rows = slice(start, start + n_rows)
        total = np.zeros((n_modalities, rated_absent[0, 0, rows].size, n_present), dtype=kind)
        for reader in range(n_readers):
            place = ranks.place[:, reader, rows, None]
            success = [place < layer[:, reader, None, :] for layer in layers]
            for layer in success:
                total += layer.view(np.int8)
            for a, b in combinations_with_replacement(range(n_modalities), 2):
                same[a, b, reader] += sum(np.count_nonzero(x[a] & y[b]) for x in success for y in success)
        for b in range(n_modalities):
            seen = rated_absent[b, :, rows].T.astype(np.float64) @ rated_present[b].astype(np.float64)
            second = total[b].astype(np.float64)  # sums stay below 2^53, hence exact
            for a in range(n_modalities):
                first = total[a].astype(np.float64)
                pooled[a, b] += np.vdot(first, second)
                pooled_rated[a, b] += np.vdot(first, seen)
    for a, b in combinations(range(n_modalities), 2):
        same[b, a] = same[a, b]
    return same / len(layers) ** 2, pooled / len(layers) ** 2, pooled_rated / len(layers)


def _wins_where_both_rated(
    ranks: _Ranks, rated_present: NDArray[np.bool_], rated_absent: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Sum of each reader's successes in one modality on the cases that they rated in another too, `(m, m, r)`."""
    n_modalities, n_readers, _ = ranks.below.shape
    wins = np.zeros((n_modalities, n_modalities, n_readers))
    for a, b, r in np.ndindex(wins.shape):
        places = np.sort(ranks.place[a, r, rated_absent[b, r]])
        for layer in (ranks.below, ranks.not_above):
            wins[a, b, r] += np.searchsorted(places, layer[a, r, rated_present[b, r]]).sum() / 2.0
    return wins
