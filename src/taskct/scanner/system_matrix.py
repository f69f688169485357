"""Products with the large sparse matrices that link the pixels of an image to the rays of a scan."""

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from scipy import sparse

from taskct.errors import UserError

COLUMNS_PER_PRODUCT = (16, 64)
"""The more columns, the less often the matrix is read; measured on two cores from 64² to 512² pixels."""
TABLE_BYTES = 2**23
"""Of the columns together: what a processor's last cache holds beside the matrix that runs through it."""
FEW_COLUMNS = 8
"""Up to so many columns MKL's sparse product is faster than a weighted sum of table rows."""
COLUMNS_ON_GPU = 64
MAX_TRIMMED = 2**24
"""Entries up to which a second matrix is kept, of those pixels alone that hold something: 128 MiB."""
TRIM_MARGIN = 4
"""Pixels beside those that hold something, so that another object of the same kind fits the same matrix."""
MAX_ENTRIES = 2**31 - 1
"""Indices have 32 bits; such a matrix already holds 16 GiB."""

Map = Callable[[torch.Tensor], torch.Tensor]


def check_entries(n_entries: int) -> None:
    """Raise UserError if a system matrix would have more entries than 32-bit indices reach."""
    if n_entries > MAX_ENTRIES:
        raise UserError(
            f"the system matrix would have up to {n_entries:.1e} entries, more than {MAX_ENTRIES:.1e}: "
            "lower scanner.n_views, scanner.n_bins, or the number of pixels"
        )


def torch_csr(matrix: sparse.csr_matrix, device: torch.device | str = "cpu") -> torch.Tensor:
    """Turn a sparse matrix of at most `MAX_ENTRIES` into a float32 torch CSR tensor with 32-bit indices.

    On the CPU it shares the memory of arrays that have these types already.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype("int32", copy=False)),
            torch.from_numpy(matrix.indices.astype("int32", copy=False)),
            torch.from_numpy(matrix.data.astype("float32", copy=False)),
            size=matrix.shape,
            check_invariants=False,
        ).to(device)


def sparse_product(matrix: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """Multiply a CSR matrix, `(n_out, n_in)`, by a dense one, `(n_in, n)`."""
    if columns.device.type != "cpu" or columns.shape[1] <= FEW_COLUMNS:
        return matrix @ columns.contiguous()
    # The same product as a weighted sum of rows: torch's embedding kernel is 1.2 to 3 times as fast as MKL's.
    return torch.nn.functional.embedding_bag(
        matrix.col_indices(),
        columns.contiguous(),
        matrix.crow_indices(),
        mode="sum",
        per_sample_weights=matrix.values(),
        include_last_offset=True,
    )


def _with_columns(matrix: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """A CSR matrix with the entries of some columns alone, a mask `(n_in,)`."""
    column = matrix.col_indices()
    keep = kept[column]
    before = torch.zeros(len(column) + 1, dtype=torch.int64)
    torch.cumsum(keep, dim=0, out=before[1:])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta", category=UserWarning)
        return torch.sparse_csr_tensor(
            before[matrix.crow_indices().long()].int(),
            column[keep],
            matrix.values()[keep],
            size=matrix.shape,
            check_invariants=False,
        )


class _Linear(torch.autograd.Function):
    """A linear map whose derivative is its adjoint; torch's own backward through a CSR product is far slower."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, apply: Map, adjoint: Map) -> torch.Tensor:  # noqa: ANN401 - torch's own context
        ctx.pair = (adjoint, apply)
        return apply(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # noqa: ANN401 - torch's own context
        adjoint, apply = ctx.pair
        return linear(gradients[0], adjoint, apply), None, None


def linear(values: torch.Tensor, apply: Map, adjoint: Map) -> torch.Tensor:
    """Apply a linear map; the gradient is its adjoint, and so on to any order."""
    mapped: torch.Tensor = _Linear.apply(values, apply, adjoint)  # type: ignore[no-untyped-call]  # untyped in torch
    return mapped


class SystemMatrix:
    """A matrix between square images and sinograms, applied both ways.

    `to_views` and `to_pixels` make the matrix `(n_views_held * n_bins, n_pixels**2)` and its transpose, each when it is
    first needed. It may hold a quarter of a turn only: the rest of the views follows by turning the image in quarter
    turns.
    """

    def __init__(
        self,
        *,
        to_views: Callable[[], sparse.csr_matrix],
        to_pixels: Callable[[], sparse.csr_matrix],
        n_pixels: int,
        n_views: int,
        n_bins: int,
        n_views_held: int,
        device: torch.device | str,
    ) -> None:
        self._make_to_views, self._make_to_pixels = to_views, to_pixels
        self.n_pixels, self.n_views, self.n_bins, self.n_views_held = n_pixels, n_views, n_bins, n_views_held
        self.n_turns = -(-n_views // n_views_held)
        self.device = torch.device(device)
        rows = max(n_pixels**2, n_views_held * n_bins)
        fewest, most = COLUMNS_PER_PRODUCT
        columns = min(max(TABLE_BYTES // (4 * rows) // 16 * 16, fewest), most)
        self._trimmed_to = torch.zeros(n_pixels, n_pixels, dtype=torch.bool)
        self._trimmed: torch.Tensor | None = None
        self.slices_per_product = max((columns if self.device.type == "cpu" else COLUMNS_ON_GPU) // self.n_turns, 1)

    @cached_property
    def to_views(self) -> torch.Tensor:
        """CSR, `(n_views_held * n_bins, n_pixels**2)`."""
        return torch_csr(self._make_to_views(), self.device)

    @cached_property
    def to_pixels(self) -> torch.Tensor:
        """CSR, `(n_pixels**2, n_views_held * n_bins)`."""
        return torch_csr(self._make_to_pixels(), self.device)

    def project(self, image: torch.Tensor) -> torch.Tensor:
        """Map images, `(n, n_pixels, n_pixels)`, to sinograms, `(n, n_views, n_bins)`, a few slices at a time."""
        sinogram = image.new_empty(len(image), self.n_views, self.n_bins)
        for start in range(0, len(image), self.slices_per_product):
            part = image[start : start + self.slices_per_product].to(torch.float32)
            # The object turned by −90° seen from β is the object seen from β + 90°.
            turned = torch.stack([torch.rot90(part, turn, (1, 2)) for turn in range(self.n_turns)])
            rows = sparse_product(self._matrix_for(part), turned.reshape(-1, self.n_pixels**2).T)
            views = rows.T.contiguous().reshape(self.n_turns, len(part), self.n_views_held, self.n_bins)
            for turn in range(self.n_turns):
                first = turn * self.n_views_held
                last = min(first + self.n_views_held, self.n_views)
                sinogram[start : start + len(part), first:last] = views[turn, :, : last - first]
        return sinogram

    def _matrix_for(self, image: torch.Tensor) -> torch.Tensor:
        """`to_views`, without the entries that would meet only zeros in images, `(n, n_pixels, n_pixels)`, as turned.

        What is left out adds nothing to a sum, so the result is the same to the bit, whatever was projected before.
        """
        n_columns = self.n_turns * len(image)
        if self.device.type != "cpu" or n_columns <= FEW_COLUMNS or self.to_views.values().numel() > MAX_TRIMMED:
            return self.to_views
        upright = (image.amax(dim=0) != 0) | (image.amin(dim=0) != 0)
        holds = torch.stack([torch.rot90(upright, turn) for turn in range(self.n_turns)]).any(dim=0)
        if (holds & ~self._trimmed_to).any():
            side = 2 * TRIM_MARGIN + 1
            near = torch.nn.functional.max_pool2d(holds[None].float(), side, stride=1, padding=TRIM_MARGIN)[0] > 0
            self._trimmed_to |= near
            self._trimmed = _with_columns(self.to_views, self._trimmed_to.flatten())
        return self.to_views if self._trimmed is None else self._trimmed

    def backproject(self, sinogram: torch.Tensor) -> torch.Tensor:
        """Map sinograms, `(n, n_views, n_bins)`, to images, `(n, n_pixels, n_pixels)`, a few slices at a time."""
        image = sinogram.new_empty(len(sinogram), self.n_pixels, self.n_pixels)
        for start in range(0, len(sinogram), self.slices_per_product):
            part = sinogram[start : start + self.slices_per_product].to(torch.float32)
            missing = self.n_turns * self.n_views_held - self.n_views
            views = torch.nn.functional.pad(part, (0, 0, 0, missing)) if missing else part
            columns = views.reshape(len(part), self.n_turns, -1).transpose(0, 1).reshape(len(part) * self.n_turns, -1)
            pixels = sparse_product(self.to_pixels, columns.T).T
            turned = pixels.reshape(self.n_turns, len(part), self.n_pixels, self.n_pixels)
            total = turned[0].clone()
            for turn in range(1, self.n_turns):
                total += torch.rot90(turned[turn], -turn, (1, 2))
            image[start : start + len(part)] = total
        return image
