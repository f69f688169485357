"""Systems solved with a factor in single precision, against numpy in double."""

import numpy as np
import pytest
from scipy.linalg import LinAlgError

from taskct.observers import solve
from taskct.observers.slnn import _path, logistic_path
from taskct.observers.solve import SingleFactor, Tridiagonal, conjugate_gradients, solve_loaded

N = solve.FROM_SIZE + 44


def spread(condition, seed=0):
    """A symmetric matrix with eigenvalues from 1 to the condition number, evenly in their logarithm, and its scale."""
    rng = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(rng.normal(size=(N, N)))
    matrix = 1e9 * (vectors * np.geomspace(1.0, condition, N)) @ vectors.T  # HU² summed over pixels are large
    return (matrix + matrix.T) / 2.0, rng.normal(size=N)


@pytest.mark.parametrize("condition", [10.0, 1e4, 1e6, 1e9])  # single precision fails at the last ones
@pytest.mark.parametrize("load", [0.0, 3e9])
@pytest.mark.parametrize("with_spectrum", [False, True])
def test_equals_numpy(condition, load, with_spectrum):
    matrix, rhs = spread(condition)
    before = matrix.copy()
    expected = np.linalg.solve(matrix + load * np.eye(N), rhs)
    found = solve_loaded(matrix, load, rhs, Tridiagonal(matrix) if with_spectrum else None)
    # The error of either is of the order of the condition times the rounding of a double.
    np.testing.assert_allclose(found, expected, atol=1e-14 * condition * np.abs(expected).max())
    np.testing.assert_array_equal(matrix, before)
    assert not solve_loaded(matrix, load, np.zeros(N)).any()


@pytest.mark.parametrize("n", [1, 2, 40, N])
def test_a_spectrum_has_the_eigenvalues_and_serves_every_load(n):
    """To double precision of a small matrix, to single precision of a large one."""
    matrix = spread(1e4)[0][:n, :n].copy()
    before = matrix.copy()
    found, rounding = Tridiagonal(matrix), 2e-6 if n >= solve.FROM_SIZE else 1e-13
    values = np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose(found.values, values, atol=rounding * values[-1])
    right = np.random.default_rng(3).normal(size=(3, n))
    for load in (1e10, 1e12):
        expected = np.linalg.solve(matrix + load * np.eye(n), right.T).T
        np.testing.assert_allclose(found.nearly(load, right), expected, atol=1e3 * rounding * np.abs(expected).max())
    np.testing.assert_array_equal(matrix, before)


def test_a_factor_serves_a_system_near_its_own_and_says_when_it_does_not():
    matrix, rhs = spread(100.0)
    diagonal = 1e9 * np.random.default_rng(1).uniform(5.0, 15.0, N)
    factor = SingleFactor(matrix, 1e10).solve
    found = conjugate_gradients(matrix, diagonal, rhs, factor, tolerance=1e-12)
    np.testing.assert_allclose(found, np.linalg.solve(matrix + np.diag(diagonal), rhs), rtol=1e-9, atol=1e-20)
    # Among the x that sum to 0: the equations hold but for a constant.
    found = conjugate_gradients(matrix, diagonal, rhs, factor, tolerance=1e-12, centred=True)
    assert abs(found.sum()) < 1e-12 * np.abs(found).sum()
    rest = rhs - matrix @ found - diagonal * found
    np.testing.assert_allclose(rest, rest.mean(), atol=1e-8)
    far = 1e9 * np.geomspace(1e-3, 1e9, N)
    assert conjugate_gradients(matrix, far, rhs, factor, tolerance=1e-13) is None


def test_singular_systems_are_refused():
    matrix, rhs = spread(10.0)
    matrix -= 2e9 * np.eye(N)
    with pytest.raises(LinAlgError):
        solve_loaded(matrix, 0.0, rhs)
    with pytest.raises(LinAlgError):
        solve_loaded(np.zeros((N, N)), 0.0, rhs)


def test_many_trials_end_where_a_factor_in_double_ends(monkeypatch):
    rng = np.random.default_rng(2)
    features = rng.normal(size=(N, N + 20)) * np.geomspace(1.0, 0.01, N + 20)
    features -= features.mean(axis=0)
    labels = features[:, 0] + rng.normal(size=N) > 0.4
    decays = [1.0, 0.01, 1e-5]  # at the last the logits are large and the curvatures far apart
    single = logistic_path(features, labels, decays)
    dual = _path(features @ features.T, labels, decays, dual=True)
    assert all(abs(a.sum()) < 1e-9 * np.abs(a).sum() for a, _ in dual)
    monkeypatch.setattr("taskct.observers.slnn.FROM_SIZE", 10**6)
    for (weights, bias), (wanted, wanted_bias) in zip(single, logistic_path(features, labels, decays), strict=True):
        logits, expected = features @ weights + bias, features @ wanted + wanted_bias
        np.testing.assert_allclose(logits, expected, atol=1e-8 * np.abs(expected).max())
