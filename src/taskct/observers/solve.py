"""Large positive definite systems: a factor in single precision, answers in double.

A Cholesky factor in single precision takes half the time of one in double. It is not exact, so it serves as the
preconditioner of conjugate gradients whose products are in double, for its own system and for those near it.
A tridiagonal form takes the time of eight factors, and does for any number of loads.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigvalsh_tridiagonal, get_lapack_funcs, solve_banded
from scipy.linalg.blas import strsv

Array = NDArray[np.float64]

FROM_SIZE = 256  # below, a factor in double precision takes less than a few products with a matrix
MANY_LOADS = 8  # from which a tridiagonal form is sooner there than factors
MAX_STEPS = 40  # of conjugate gradients; beyond, a factor in double precision is sooner there


class SingleFactor:
    """Cholesky factor in single precision of a symmetric matrix `(n, n)` plus a diagonal, a number or `(n,)`.

    A LinAlgError says that the sum is not positive definite in single precision.
    """

    def __init__(self, matrix: Array, diagonal: float | Array) -> None:
        largest = float(np.max(matrix.diagonal() + diagonal))
        if not 0.0 < largest < np.inf:
            raise LinAlgError("the diagonal is not positive")
        self._scale = 1.0 / largest  # keeps to the range of single precision
        single = np.empty(matrix.shape, dtype=np.float32)
        np.multiply(matrix, self._scale, out=single, casting="same_kind")
        single.flat[:: len(single) + 1] = (matrix.diagonal() + diagonal) * self._scale
        # The transpose of a symmetric matrix is itself, in LAPACK's order without a copy.
        self._factor: NDArray[np.float32]
        self._factor, _ = cho_factor(single.T, lower=True, overwrite_a=True, check_finite=False)  # type: ignore[arg-type]  # its stubs know no single precision

    def solve(self, rhs: Array) -> Array:
        """Nearly the solution for one right-hand side, shape `(n,)`."""
        size = float(np.abs(rhs).max())
        if size == 0.0:
            return np.zeros_like(rhs)
        # For one right-hand side, LAPACK's own solution of both triangles takes three times as long.
        half = strsv(self._factor, (rhs / size).astype(np.float32), lower=1, overwrite_x=1)
        solution = strsv(self._factor, half, lower=1, trans=1, overwrite_x=1)
        return np.asarray(solution, dtype=np.float64) * (size * self._scale)


class Tridiagonal:
    """Eigenvalues of a symmetric positive matrix `(n, n)`, and nearly its inverse for any load.

    The matrix is brought to tridiagonal form, Q T Qᵀ, which takes half the time of its eigenvectors and does the same:
    in single precision from `FROM_SIZE` on.
    """

    def __init__(self, matrix: Array) -> None:
        scale = float(np.trace(matrix)) / len(matrix)  # keeps to the range of single precision
        self._scale = scale if scale > 0.0 else 1.0
        dtype = np.float32 if len(matrix) >= FROM_SIZE else np.float64
        # The transpose of a symmetric matrix is itself, in LAPACK's order without a copy.
        scaled = (matrix / self._scale).astype(dtype).T
        of_type: Any = get_lapack_funcs(("sytrd", "sytrd_lwork", "orgqr"), (scaled,))  # functions, which its stubs deny
        reduce, reduce_size, form = of_type
        size, _ = reduce_size(len(scaled), lower=1)
        reduced, middle, beside, tau, _ = reduce(scaled, lower=1, lwork=int(size), overwrite_a=1)
        self._middle, self._beside = middle.astype(np.float64), beside.astype(np.float64)
        self._q = np.eye(len(scaled), dtype=dtype)
        if len(scaled) > 1:
            reflectors = np.asfortranarray(reduced[1:, :-1])
            size = form(reflectors, tau, lwork=-1)[1][0]
            self._q[1:, 1:], _, _ = form(reflectors, tau, lwork=int(size), overwrite_a=1)
        values = eigvalsh_tridiagonal(self._middle, self._beside, lapack_driver="sterf", check_finite=False)
        self.values: Array = np.maximum(values * self._scale, 0.0)
        """Ascending, `(n,)`."""

    def serves(self, load: float) -> bool:
        """Whether a load is above what the form's rounding does to the eigenvalues, so that it is near the sum's."""
        rounding = np.finfo(np.float32 if self._q.dtype == np.float32 else np.float64).eps
        return load > 32.0 * float(rounding) * float(self.values[-1])

    def nearly(self, load: float, right: Array) -> Array:
        """Nearly (matrix + load)⁻¹ of rows `(n_rows, n)`, for loads that it serves."""
        load /= self._scale
        bands = np.zeros((3, len(self._middle)))
        bands[0, 1:], bands[1], bands[2, :-1] = self._beside, self._middle + load, self._beside
        part = (right.astype(self._q.dtype) @ self._q).astype(np.float64)
        part = solve_banded((1, 1), bands, part.T, overwrite_ab=True, overwrite_b=True, check_finite=False).T
        return np.asarray(part.astype(self._q.dtype) @ self._q.T, dtype=np.float64) / self._scale


def conjugate_gradients(
    matrix: Array,
    diagonal: float | Array,
    rhs: Array,
    nearly: Callable[[Array], Array],
    *,
    tolerance: float,
    centred: bool = False,
) -> Array | None:
    """Solve (matrix + diagonal) x = rhs; None if `MAX_STEPS` do not do. `nearly` solves a system near it.

    `tolerance` is of the error relative to the first step's, as the matrix weighs it. With `centred`, x is sought among
    those that sum to 0, so that the equations hold but for a constant. See Golub & Van Loan, Matrix Computations, Johns
    Hopkins (2013), §11.5.
    """

    def project(vector: Array) -> Array:
        return vector - vector.mean() if centred else vector

    residual = project(rhs)
    solution = np.zeros_like(residual)
    if not residual.any():
        return solution
    step = project(nearly(residual))
    direction, square = step, float(residual @ step)
    wanted = tolerance**2 * square
    for _ in range(MAX_STEPS):
        product = project(matrix @ direction + diagonal * direction)
        curvature = float(direction @ product)
        if not (curvature > 0.0 and np.isfinite(square)):
            return None
        length = square / curvature
        solution = solution + length * direction
        residual = residual - length * product
        step = project(nearly(residual))
        square, before = float(residual @ step), square
        if square <= wanted:
            return solution
        direction = step + square / before * direction
    return None


def solve_loaded(matrix: Array, load: float, rhs: Array, spectrum: Tridiagonal | None = None) -> Array:
    """Solve (matrix + load · I) x = rhs to the precision of a factor in double, the matrix symmetric and load ≥ 0.

    The matrix's spectrum serves instead of a factor. A LinAlgError says that the sum is not positive definite.
    """
    if len(matrix) >= FROM_SIZE:
        try:
            if spectrum is not None and spectrum.serves(load):
                found = conjugate_gradients(
                    matrix, load, rhs, lambda r: spectrum.nearly(load, r[None])[0], tolerance=1e-13
                )
            else:
                found = conjugate_gradients(matrix, load, rhs, SingleFactor(matrix, load).solve, tolerance=1e-13)
        except LinAlgError:  # in single precision; double may yet do
            found = None
        if found is not None:
            return found
    loaded = matrix.T.copy(order="F")  # symmetric, so this is a plain copy in LAPACK's order
    loaded.flat[:: len(loaded) + 1] += load
    solution: Array = cho_solve(cho_factor(loaded, lower=True, overwrite_a=True, check_finite=False), rhs)
    return solution
