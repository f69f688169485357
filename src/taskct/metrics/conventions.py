"""RMSE, PSNR and SSIM as public low-dose CT benchmarks count them, so that a figure can be set beside theirs.

What a benchmark calls PSNR or SSIM is a convention: to what HU window an image is cut, what counts as the peak, over
what window SSIM averages and how it goes on at the border. Each convention here is one of a public code, with its
source.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from taskct.metrics.image_quality import STUDY_WINDOW, Window, mse_hu2, similarity

Span = tuple[float, float]


@dataclass(frozen=True)
class Convention:
    """How images are compared; spans are the lowest and the highest HU."""

    text: str
    """In words."""
    source: str
    """The code that does so."""
    window: Window
    """Of SSIM."""
    range_hu: Span | None = None
    """What counts as the data range of PSNR and SSIM, HU; None: the study's own."""
    clipped: bool = False
    """Whether images are cut to that range first."""
    rmse_hu: Span | None = None
    """To what images are cut for the RMSE, HU; None: as for PSNR and SSIM."""
    zero_hu: float | None = None
    """The HU value that SSIM takes as intensity 0; None: the low end of the range."""


_LDCT_BENCHMARK = "ldct-benchmark (E. Eulig), evaluate/utils.py and utils/test_utils.py"
_HU_OF_BENCHMARK = (-1024.0, 1900.0)

CONVENTIONS: dict[str, Convention] = {
    "taskct": Convention(
        "the study's data range, nothing cut; SSIM over a Gaussian of 11 × 11 pixels, mirrored at the border, as "
        "torchmetrics has it",
        "torchmetrics, structural_similarity_index_measure",
        STUDY_WINDOW,
    ),
    "cropped": Convention(
        "the same, but SSIM over windows that lie within the image, as in the paper of Wang et al.",
        "Wang et al., IEEE Trans. Image Process. 13, 600 (2004); scikit-image with gaussian_weights=True, sigma=1.5, "
        "use_sample_covariance=False",
        Window("gaussian", "cropped"),
    ),
    "scikit-image": Convention(
        "the study's data range, nothing cut; SSIM over 7 × 7 pixels of one weight within the image, sample covariance",
        "scikit-image, structural_similarity without further arguments",
        Window("uniform", "cropped", sample_covariance=True),
    ),
    "red-cnn": Convention(
        "cut to [−160, 240] HU, data range 400 HU; SSIM over a Gaussian of 11 × 11 pixels with 0 HU as intensity 0, "
        "which also stands beyond the border",
        "RED-CNN in PyTorch (SSinyu), solver.py and measure.py",
        Window("gaussian", "zero"),
        (-160.0, 240.0),
        clipped=True,
        zero_hu=0.0,
    ),
    "ldct-benchmark abdomen": Convention(
        "cut to [−150, 249] HU (centre 50, width 400 by DICOM's rule); SSIM over 7 × 7 pixels of one weight within the "
        "image, sample covariance; RMSE cut to [−1024, 1900] HU",
        _LDCT_BENCHMARK,
        Window("uniform", "cropped", sample_covariance=True),
        (-150.0, 249.0),
        clipped=True,
        rmse_hu=_HU_OF_BENCHMARK,
    ),
    "ldct-benchmark chest": Convention(
        "cut to [−1350, 149] HU (centre −600, width 1500 by DICOM's rule); else as for the abdomen",
        _LDCT_BENCHMARK,
        Window("uniform", "cropped", sample_covariance=True),
        (-1350.0, 149.0),
        clipped=True,
        rmse_hu=_HU_OF_BENCHMARK,
    ),
}
"""By name, in the page's order."""


def quality_in(
    convention: Convention, denoised: NDArray[np.floating], reference: NDArray[np.floating], *, study_range_hu: Span
) -> dict[str, NDArray[np.float64]]:
    """Image by image, `rmse_hu` in HU, `psnr_db` in dB and `ssim`, each `(n,)`, in a convention.

    All of these codes take the mean over images of each, so that their RMSE is not the root of a mean over all pixels.

    Parameters
    ----------
    convention
        Of `CONVENTIONS`.
    denoised, reference
        Images in HU, shape `(n, height, width)`, at least 11 × 11 pixels, finite, or a ValueError.
    study_range_hu
        What a convention without a range of its own takes, lowest and highest HU.

    Returns
    -------
    The PSNR is infinite where two images are equal once they are cut.

    Examples
    --------
    >>> reference = np.zeros((1, 16, 16))
    >>> found = quality_in(CONVENTIONS["red-cnn"], reference + 40.0, reference, study_range_hu=(-160.0, 240.0))
    >>> found["rmse_hu"], found["psnr_db"]
    (array([40.]), array([20.]))
    """
    low, high = convention.range_hu or study_range_hu

    def cut(images: NDArray[np.floating], span: Span | None) -> NDArray[np.floating]:
        return images if span is None else np.clip(images, *span)

    ranged = (low, high) if convention.clipped else None
    x, y = cut(denoised, ranged), cut(reference, ranged)
    mse = mse_hu2(x, y)
    of_rmse = mse
    if convention.rmse_hu is not None:
        of_rmse = mse_hu2(cut(denoised, convention.rmse_hu), cut(reference, convention.rmse_hu))
    with np.errstate(divide="ignore"):  # equal images: the infinity is the answer
        psnr = 20.0 * np.log10(high - low) - 10.0 * np.log10(mse)
    zero = low if convention.zero_hu is None else convention.zero_hu
    index = similarity(x, y, data_range_hu=high - low, low_hu=zero, window=convention.window)
    return {"rmse_hu": np.sqrt(of_rmse), "psnr_db": psnr, "ssim": index}
