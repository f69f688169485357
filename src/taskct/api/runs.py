"""A run folder as an object: its arms, images, trials and scores, its figures and pictures."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from taskct.api.roc import draw_roc
from taskct.api.table import Columns, columns_of, read_columns
from taskct.apply.denoise import LoadedDenoiser, denoise, load_denoiser
from taskct.config import Settings
from taskct.denoisers.classical import filter_images
from taskct.denoisers.import_path import trust_network
from taskct.errors import UserError
from taskct.literal import figure_text, shown
from taskct.machine import resolve_device
from taskct.metrics.intervals import Interval
from taskct.names import LOW_DOSE
from taskct.report.labels import arm_label, observer_label
from taskct.report.load import load_run
from taskct.report.run import Run
from taskct.report.schema import ArmFigures
from taskct.study.arm_result import read_result
from taskct.study.arms import Arm, arms_of
from taskct.study.evaluate import filter_parameters, images_of_trials, mix
from taskct.study.imports import read_import
from taskct.study.resampling import unit_of
from taskct.study.run_folder import RunFolder, check_model
from taskct.trials.trials import SPLITS, Trials, crop

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Measure = Literal["rmse_hu", "psnr_db", "ssim"]
MEASURES: dict[str, str] = {"rmse_hu": "RMSE (HU)", "psnr_db": "PSNR (dB)", "ssim": "SSIM"}


def open_run(path: str | Path, *, device: str = "auto", trust: Sequence[str] = ()) -> "OpenedRun":
    """Open a run folder, as `taskct run` makes it; nothing is changed in it.

    Parameters
    ----------
    path
        The folder.
    device
        Where denoisers run: "auto" (CUDA if there is any), "cpu" or "cuda".
    trust
        Import paths of networks outside taskct, such as `("monai.networks.nets.BasicUNet",)`, which may be imported
        where the folder names them. Importing runs their code.

    Raises
    ------
    UserError
        If it is no run folder, or an earlier taskct's.
    """
    trust_network(*trust)
    return OpenedRun(RunFolder(Path(path), None, device=resolve_device(device), read_only=True))


@dataclass(frozen=True, repr=False)
class OpenedArm:
    """One way to make the images that observers see: the low-dose images, a denoiser, or a blend of two."""

    run: "OpenedRun"
    arm: Arm

    @property
    def name(self) -> str:
        """As in every file of the run: "low-dose", "mse", "lambda=0.9", "lambda=0.9 alpha=0.2"."""
        return self.arm.name

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.arm.seed

    @property
    def task_weight(self) -> float | None:
        """λ; None for the low-dose images, the pretrained denoiser, classical filters and images from elsewhere."""
        return self.arm.task_weight

    @property
    def alpha(self) -> float | None:
        """α, the task's share in a blend; None if it is no blend."""
        return self.arm.alpha

    @property
    def figures(self) -> ArmFigures:
        """All that `summary.json` says of it: `image_quality`, `observers`, `hallucination`, with intervals."""
        return self.run.results.arm(self.name, self.seed)

    @property
    def auc(self) -> dict[str, Interval]:
        """AUC on the test trials by observer, with its interval: `value`, `ci_low`, `ci_high`."""
        return self.figures.observers

    @property
    def rmse_hu(self) -> Interval:
        """Root mean squared error on the test trials, HU, with its interval."""
        return self.figures.image_quality.rmse_hu

    def scores(self, observer: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Test statistics of an observer on signal-present and signal-absent test trials, as `taskct.auc` takes them.

        Raises
        ------
        UserError
            If this arm has no such observer.
        """
        if observer not in self.auc:
            raise UserError(f"{self.name} has no observer {observer!r}: choose one of {', '.join(self.auc)}")
        found = self.run.results.scores[self.name, self.figures.seed, observer]
        return found.present, found.absent

    @property
    def price(self) -> float | None:
        """Of a task path: its RMSE over the control's on validation trials, less 1; None for other arms."""
        return self.arm.price

    def denoiser(self, alpha: float | None = None, *, price: float | None = None) -> LoadedDenoiser:
        """Its denoiser: a `torch.nn.Module`, HU in and HU out.

        Parameters
        ----------
        alpha
            α in [0, 1], see `load_denoiser`; None is the arm's own.
        price
            The same of a task path, from 0 to 0.2.

        Raises
        ------
        UserError
            If it has no network, or is not trained yet.
        """
        if self.name == LOW_DOSE or self.arm.filter is not None or self.arm.from_elsewhere:
            raise UserError(f"{self.name} has no network: `images` gives its images")
        if self.alpha is None:
            weights = self.run.folder.weights(self.arm.weights_stem)
            return load_denoiser(weights, alpha, price=self.price if price is None else price)
        _, task = self.arm.parts
        weights = self.run.folder.weights(task.file_stem)
        return load_denoiser(weights, self.alpha if alpha is None else alpha, price=price)

    def images(self, split: str = "test") -> NDArray[np.float32]:
        """Its images of the trials of a split: regions without their margin, HU, shape `(n, height, width)`.

        Raises
        ------
        UserError
            If there are no such trials, or it is not trained yet.
        """
        trials, folder = self.run.trials(split), self.run.folder
        if self.name == LOW_DOSE:
            return trials.noisy_regions
        if self.arm.filter is not None:
            check_model(folder.card(self.arm.file_stem))
            strength = filter_parameters(folder.card(self.arm.file_stem))
            return crop(filter_images(self.arm.filter, trials.noisy, strength), trials.margin)
        if self.arm.from_elsewhere:
            made = crop(read_import(folder, str(self.arm.imported), split), trials.margin)
            return np.array(made) if self.alpha is None else mix(self.alpha, trials.noisy_regions, made)
        if self.arm.imported is not None:
            return images_of_trials(folder, self.arm, {split: trials})[split]
        return denoise(self.denoiser(), trials.noisy, margin=trials.margin, device=str(folder.device), anyway=True)

    def __repr__(self) -> str:
        parts = [repr(self.name), f"seed={self.seed}"]
        if self.run.evaluated:
            parts.append(f"RMSE {_short(self.rmse_hu, 1)} HU")
            parts += [f"AUC {observer} {_short(one)}" for observer, one in self.auc.items()]
        return f"OpenedArm({', '.join(parts)})"


class OpenedRun:
    """A run folder: its arms, images and scores, see `open_run`.

    Tables are mappings of a column's name to an array, as `pandas.DataFrame` takes them.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    @property
    def path(self) -> Path:
        """The folder."""
        return self.folder.path

    @property
    def settings(self) -> Settings:
        """The study's settings."""
        return self.folder.settings

    @property
    def evaluated(self) -> bool:
        """Whether it has results."""
        return (self.path / "summary.json").is_file()

    @cached_property
    def results(self) -> Run:
        """All results, as the report reads and checks them.

        Raises
        ------
        UserError
            If it is not evaluated yet, or a file is broken.
        """
        return load_run(self.path)

    @property
    def seed(self) -> int:
        """The training seed that is quoted."""
        return self.results.seed if self.evaluated else self.settings.training.seeds[0]

    @cached_property
    def _arms(self) -> list[Arm]:
        return arms_of(self.settings)

    @property
    def arms(self) -> dict[str, OpenedArm]:
        """The arms of the quoted training seed, by name, in the order of the report."""
        return {arm.name: OpenedArm(self, arm) for arm in self._arms if arm.seed == self.seed}

    def arm(self, name: str, seed: int | None = None) -> OpenedArm:
        """One arm, of the quoted training seed or another.

        Raises
        ------
        UserError
            If there is none.
        """
        wanted = self.seed if seed is None else seed
        for arm in self._arms:
            if (arm.name, arm.seed) == (name, wanted):
                return OpenedArm(self, arm)
        known = ", ".join(dict.fromkeys(arm.name for arm in self._arms))
        raise UserError(f"{self.path} has no arm {name!r} of seed {wanted}: its arms are {known}")

    def trials(self, split: str = "test") -> Trials:
        """The trials of a split, "train", "validation", "fresh" or "test"; the images are memory maps."""
        if split not in SPLITS:
            raise UserError(f"no split {split!r}: choose one of {', '.join(SPLITS)}")
        return self.folder.read(split)

    @cached_property
    def scores(self) -> Columns:
        """`scores.csv`: the test statistic of every observer on every test trial of every arm."""
        return read_columns(self.results.path, "scores.csv")  # checked with the other results

    @cached_property
    def quality(self) -> Columns:
        """`quality.csv`: the image quality of every test trial of every arm."""
        return read_columns(self.results.path, "quality.csv")

    @cached_property
    def summary(self) -> Columns:
        """Every figure of every arm with its interval: a row for each measure of image quality and each observer."""
        return columns_of(self._figures())

    def _figures(self) -> Iterator[dict[str, Any]]:
        for arm in self.results.summary.arms:
            about = {
                "arm": arm.name,
                "lambda": arm.lambda_,
                "alpha": arm.alpha,
                "price": arm.price,
                "head": arm.head or "",
                "seed": arm.seed,
            }
            figures: list[tuple[str, str, Interval]] = [
                (name, "", getattr(arm.image_quality, name)) for name in MEASURES
            ]
            figures += [("auc", observer, one) for observer, one in arm.observers.items()]
            for figure, observer, one in figures:
                row = {"figure": figure, "observer": observer, "value": one.value}
                yield about | row | {"ci_low": one.ci_low, "ci_high": one.ci_high}

    def difference(self, arm: str, versus: str, observer: str, *, seed: int | None = None) -> Interval:
        """AUC of an arm less that of any other, paired on the same test trials, with its 95 % interval.

        Parameters
        ----------
        arm, versus
            Names of two arms.
        observer
            Fitted to each arm's images, such as "ho_eye". At as many training trials as the study has: what holds in
            the limit is in `results.limits`.
        seed
            Of the training; None is the quoted one.

        Raises
        ------
        UserError
            If the run has no such arm or observer.
        """
        both = []
        for name in (arm, versus):
            one = self.arm(name, seed)
            if observer not in one.auc:
                raise UserError(f"{name} has no observer {observer!r}: choose one of {', '.join(one.auc)}")
            both.append(read_result(self.folder, self.folder.evaluated_as(one.arm)).scores[observer])
        found = unit_of(self.trials("test")).auc_difference(np.stack(both))
        return Interval(found.delta_auc, found.ci_low, found.ci_high)

    def _observer(self, observer: str | None) -> str:
        known = self.results.observers
        if observer is None:
            return "ho" if "ho" in known else known[0]
        if observer not in known:
            raise UserError(f"{self.path} has no observer {observer!r}: choose one of {', '.join(known)}")
        return observer

    def plot_tradeoff(
        self, observer: str | None = None, *, measure: Literal["rmse_hu", "ssim"] = "rmse_hu", ax: "Axes | None" = None
    ) -> "Axes":
        """Draw an observer's AUC against the image quality of every arm, with both intervals.

        Parameters
        ----------
        observer
            Name of an observer; None is the Hotelling observer that was fitted afresh, if there is one.
        measure
            "rmse_hu" or "ssim".
        ax
            Where to draw; None is a new figure.

        Raises
        ------
        UserError
            If the run is not evaluated yet, or has no such observer.
        """
        import matplotlib.pyplot as plt  # here, since it takes long to load

        from taskct.report.tradeoff import draw_tradeoff

        name = self._observer(observer)
        if measure not in ("rmse_hu", "ssim"):
            raise UserError(f"measure is {measure!r}: choose rmse_hu or ssim")
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
        draw_tradeoff(ax, self.results, name, measure)
        better = "left" if measure == "rmse_hu" else "right"
        ax.set(xlabel=f"{MEASURES[measure]}; {better} is better", ylabel="AUC", title=figure_text(observer_label(name)))
        handles, labels = ax.get_legend_handles_labels()
        first = dict(zip(reversed(labels), reversed(handles), strict=True))  # one entry for all seeds
        ax.legend(list(first.values()), list(first), fontsize="small", frameon=False)
        return ax

    def plot_roc(
        self, observer: str | None = None, *, arms: Sequence[str] | None = None, ax: "Axes | None" = None
    ) -> "Axes":
        """Draw an observer's ROC curves of some arms of the quoted seed, with AUC and interval in the legend.

        Parameters
        ----------
        observer
            As for `plot_tradeoff`.
        arms
            Names of arms; None is the low-dose images, the pretrained denoiser, the control and the chosen arm.
        ax
            Where to draw; None is a new figure.

        Raises
        ------
        UserError
            If the run is not evaluated yet, or has no such observer or arm.
        """
        name, results = self._observer(observer), self.results
        wanted = results.standing if arms is None else arms
        drawn = [self.arm(one) for one in dict.fromkeys(wanted)]
        drawn = [one for one in drawn if name in one.auc] if arms is None else drawn
        curves = {figure_text(arm_label(one.name)): one.scores(name) for one in drawn}
        aucs = [one.auc[name] for one in drawn]
        intervals = {label: Interval(a.value, a.ci_low, a.ci_high) for label, a in zip(curves, aucs, strict=True)}
        ax = draw_roc(curves, intervals, ax=ax)
        ax.set_title(figure_text(observer_label(name)))
        return ax

    def __repr__(self) -> str:
        names = dict.fromkeys(arm.name for arm in self._arms)
        state = "evaluated" if self.evaluated else "not evaluated yet"
        seeds = ", ".join(map(str, self.settings.training.seeds))
        return f"OpenedRun({str(self.path)!r}: study {self.settings.name!r}, {len(names)} arms, seeds {seeds}, {state})"

    def _repr_html_(self) -> str:
        if not self.evaluated:
            return f"<p>{html.escape(repr(self))}</p>"
        observers = self.results.observers
        heads = ["arm", "RMSE (HU)", *(f"AUC, {observer_label(observer)}" for observer in observers)]
        rows = [heads]
        for name, arm in self.arms.items():
            aucs = [_short(arm.auc[observer]) if observer in arm.auc else "" for observer in observers]
            rows.append([arm_label(name), _short(arm.rmse_hu, 1), *aucs])
        cells = ["".join(f"<td>{html.escape(shown(cell))}</td>" for cell in row) for row in rows]
        cells[0] = cells[0].replace("td>", "th>")
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        return f"<p>{html.escape(repr(self))}, seed {self.seed}</p><table>{body}</table>"


def _short(one: Interval, digits: int = 3) -> str:
    return f"{one.value:.{digits}f} [{one.ci_low:.{digits}f}, {one.ci_high:.{digits}f}]"
