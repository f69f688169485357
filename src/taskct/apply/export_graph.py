"""A trained denoiser as one function of tensors, for programs without taskct, and how such a program is held to it."""

import contextlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from taskct.apply.denoise import LoadedDenoiser
from taskct.denoisers.blend import Blend
from taskct.denoisers.denoiser import own_words
from taskct.denoisers.elsewhere import Elsewhere
from taskct.denoisers.prices import MAX_PRICE, SquaredError
from taskct.denoisers.sizes import quiet_evaluation
from taskct.denoisers.task_path import TaskPath
from taskct.errors import UserError

IMAGE, RESULT = "image_hu", "denoised_hu"
"""Names of the images in a graph, float32, `(n, height, width)`."""

TOLERANCE_HU = 1e-2
"""By how much a graph may differ from its network, HU."""

MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
"""Numbers of pixels whose multiples the sides of images may have to be."""

LEAST = 64
"""Side of the images with which a graph is made and tried, pixels, about."""

ADVICE = (
    "what the network does must not depend on the size of the image, as branches for odd sides, area or antialiased "
    "scaling and adaptive pooling do"
)
"""What to do about a graph that holds for some sizes alone."""

SIDES = (*range(16, 161), 192, 224, 256, 320, 384, 448, 512)
"""Sides among which that of a network of one size is looked for, pixels."""

Example = tuple[torch.Tensor, ...]
"""Images, HU, and where the dial stands, if there is one."""


class Graph(nn.Module):
    """A denoiser as a function of images in HU alone, `(n, height, width)`, and of its dial, a scalar of float32."""

    dial: str | None = None
    """Name of the dial."""
    most: float = 0.0
    """Its largest value; beyond it and below 0 images are NaN, since a graph can refuse nothing in words."""

    @property
    def dials(self) -> tuple[float, float]:
        """Two values at which a graph is tried."""
        return 0.125 * self.most, 0.75 * self.most


class OneNetwork(Graph):
    """One network, without a dial."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image_hu: torch.Tensor) -> torch.Tensor:
        """Denoised images, float32."""
        output: torch.Tensor = self.network(image_hu)
        return output


class MixedNetworks(Graph):
    """A blend whose share of the task, in [0, 1], is an input."""

    dial, most = "alpha", 1.0

    def __init__(self, blend: Blend) -> None:
        super().__init__()
        self.control, self.task = blend.control, blend.task

    def forward(self, image_hu: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """Denoised images, float32."""
        share = _within(alpha, alpha, self.most)
        mean: torch.Tensor = (1.0 - share) * self.control(image_hu).float() + share * self.task(image_hu).float()
        return mean


class PricedPath(Graph):
    """A task path whose price, RMSE over the control's, less 1, is an input."""

    dial, most = "price", MAX_PRICE

    def __init__(self, path: TaskPath) -> None:
        super().__init__()
        self.control, self.correction, self.square = path.control, path.correction, path.square

    def forward(self, image_hu: torch.Tensor, price: torch.Tensor) -> torch.Tensor:
        """Denoised images, float32."""
        control: torch.Tensor = self.control(image_hu).float()
        strength = _within(price, strength_of(self.square, price), self.most)
        image: torch.Tensor = control + strength * self.correction(image_hu, control)
        return image


def strength_of(square: SquaredError, price: torch.Tensor) -> torch.Tensor:
    """As `SquaredError.strength`, of a scalar tensor, float32.

    In the form of the root that subtracts nothing, since float32 would lose digits of a small price.
    """
    excess = square.control * price * (2.0 + price)
    root = torch.sqrt(square.mixed**2 + 4.0 * square.energy * excess)
    if square.mixed < 0.0:
        strength = (root - square.mixed) / (2.0 * square.energy)
    else:
        strength = 2.0 * excess / (root + square.mixed)
    return torch.where(price == 0.0, torch.zeros_like(price), strength)


def _within(dial: torch.Tensor, value: torch.Tensor, most: float) -> torch.Tensor:
    """A value where a dial stands between 0 and its end, else NaN."""
    # A price of 20 % is 0.2 of float32, a little above that of Python.
    inside = (dial >= 0.0) & (dial <= most * (1.0 + 1e-6))
    return torch.where(inside, value, torch.full_like(value, math.nan))


def graph_of(loaded: LoadedDenoiser) -> Graph:
    """A trained denoiser as such a function, in evaluation mode; a `UserError` if its control is not here to be run."""
    denoiser = loaded.denoiser
    if isinstance(denoiser, Blend):
        return MixedNetworks(denoiser).eval()
    if isinstance(denoiser, TaskPath) and isinstance(denoiser.control, Elsewhere):
        raise UserError(
            "this task path corrects the images of a denoiser elsewhere, which no file can hold: `taskct denoise "
            "--after` applies it"
        )
    return (PricedPath(denoiser) if isinstance(denoiser, TaskPath) else OneNetwork(denoiser)).eval()


def example(graph: Graph, n: int, height: int, width: int, *, second: bool = False) -> Example:
    """Noisy images of soft tissue, HU, and the dial at the first or the second of its values."""
    images = 40.0 + 30.0 * torch.randn((n, height, width), generator=torch.Generator().manual_seed(0))
    return (images,) if graph.dial is None else (images, torch.tensor(graph.dials[second]))


def made_with(graph: Graph, multiple: int, side: int | None) -> Example:
    """What a graph is made with: sides that differ, odd numbers of multiples of some pixels; or the only side."""
    if side is not None:
        return example(graph, 2, side, side)
    first = _first(multiple)
    return example(graph, 2, first * multiple, (first + 2) * multiple)


def other_examples(graph: Graph, multiple: int, side: int | None = None) -> Iterator[Example]:
    """What a graph is tried on: even, odd and mixed numbers of multiples, batches of 1 to 3, and both values of a dial.

    Of a network of one size: images of that.
    """
    first = _first(multiple)
    units = (
        (1, first + 1, first + 1),
        (3, first + 2, 2 * first - 1),
        (1, first + 3, first),
        (3, first, first // 2 + 2),
    )
    for n, height, width in units:
        sides = (height * multiple, width * multiple) if side is None else (side, side)
        for second in (False, True)[: 1 if graph.dial is None else 2]:
            yield example(graph, n, *sides, second=second)


def _first(multiple: int) -> int:
    return max(LEAST // multiple, 2) | 1


@torch.no_grad()
def apart_text(graph: Graph, run: Callable[..., torch.Tensor], examples: Iterator[Example]) -> str | None:
    """How a program's images differ from the network's, for a message; None if they do not, within `TOLERANCE_HU`."""
    for one in examples:
        expected = graph(*one)
        size = f"images of {expected.shape[1]} x {expected.shape[2]} pixels"
        try:
            found = run(*one)
        except Exception as error:  # as of shapes that do not go together
            return f"{size} fail ({own_words(error)}); {ADVICE}"
        if found.shape != expected.shape:
            return f"{size} come out as {found.shape[1]} x {found.shape[2]}; {ADVICE}"
        apart = float((found - expected).abs().max())
        if not apart <= TOLERANCE_HU:
            return f"{size} come out {apart:.3g} HU apart, and {TOLERANCE_HU:g} HU are allowed; {ADVICE}"
    return None


def captured(graph: Graph, multiple: int, side: int | None) -> torch.export.ExportedProgram:
    """A graph without the Python of its network, for images of some sizes, whose images are the network's.

    A network that decides by the values of an image has none. An `UnlikeError` if there is none, or it holds for the
    size alone that it was made with: what a network does may depend on the size, as where it pads odd ones, and a graph
    is what it did once.
    """
    any_size = torch.export.Dim.DYNAMIC
    shapes: dict[str, Any] = {IMAGE: dict.fromkeys(range(3 if side is None else 1), any_size)}
    shapes |= {} if graph.dial is None else {graph.dial: None}
    program = torch.export.export(graph, made_with(graph, multiple, side), dynamic_shapes=shapes)
    problem = apart_text(graph, program.module(check_guards=False), other_examples(graph, multiple, side))
    if problem is not None:
        raise UnlikeError(problem)
    return program


class UnlikeError(UserError):
    """What was made of a network does not give its images."""


T = TypeVar("T")


def for_sizes(graph: Graph, make: Callable[[int, int | None], T], failed: str) -> tuple[T, int, int | None]:
    """Make something of a graph for sides that are multiples of as few pixels as it takes, or for its only side.

    Parameters
    ----------
    graph
        The network.
    make
        Takes the multiple and the only side, pixels, and raises any error where it comes to nothing.
    failed
        What the message says first, if nothing can be made.

    Returns
    -------
    What was made, the multiple and the only side, None if there are others.

    Raises
    ------
    UserError
        If nothing can be made, with the first reason.
    """
    only = only_side(graph)
    tries = [(1, only)] if only is not None else [(multiple, None) for multiple in MULTIPLES]
    first = ""
    with _quietly(), torch.no_grad():
        for multiple, side in tries:
            try:
                return make(multiple, side), multiple, side
            except UnlikeError as error:
                first = first or str(error)
            except Exception as error:  # a user's network may hold anything
                first = first or f"in torch's words: {_innermost(error)}"
    raise UserError(f"{failed}: {first}")


def _innermost(error: BaseException) -> str:
    """What went wrong first: torch wraps it in advice for its developers."""
    while error.__cause__ is not None:
        error = error.__cause__
    return own_words(error)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch says of itself and of packages that are not needed."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.fx.experimental.symbolic_shapes")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def only_side(graph: Graph) -> int | None:
    """The side of the images of a network that takes those of one size alone, pixels; None if it takes others too."""
    found = []
    with quiet_evaluation(graph):
        for side in SIDES:
            try:
                graph(*example(graph, 1, side, side))
            except Exception:  # a user's network may raise anything
                continue
            found.append(side)
            if len(found) > 1:
                return None
    return found[0] if found else None


def check_new(model: Path, target: Path) -> None:
    """Raise a `UserError` if there is something at a target already."""
    if target.exists() or target.is_symlink():
        raise UserError(f"{target} exists: choose another output for {model.name}, nothing is overwritten")
