"""Exact line integrals of discs, as arrays."""

import numpy as np

from taskct.scanner.analytic import project_ellipses


def project_discs(geometry, *, x_mm, y_mm, diameter_mm, mu):
    """Sinograms of discs, one a trial, `(n, n_views, n_bins)`."""
    half = np.asarray(diameter_mm, dtype=np.float64) / 2.0
    return project_ellipses(geometry, x_mm=x_mm, y_mm=y_mm, half_x_mm=half, half_y_mm=half, mu=mu).numpy()
