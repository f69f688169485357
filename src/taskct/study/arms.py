"""The arms of a study: which denoisers are compared, by what name, and which stage makes each."""

import dataclasses
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from taskct.config import Settings, make_settings, tree_of
from taskct.errors import UserError
from taskct.names import CONTROL, LOW_DOSE, MSE, RESERVED, ArmName, file_name, setting_text

BLEND = ".blend"
"""Appended to the file name of the λ arm that is blended with its control, in one file."""

PRETRAINING = (
    "pretrain_epochs",
    "batch_size",
    "learning_rate",
    "patch_pixels",
    "n_trials",
    "max_gradient_norm",
    "keep",
    "patience",
    "dtype",
    "compile",
)
"""Settings of `training` that the pretrained denoiser depends on; it depends on all of `denoiser`."""

Overrides = tuple[tuple[str, Any], ...]
"""Dotted names of settings and the values that a variant gives them."""


@dataclass(frozen=True)
class Arm:
    """One way to make the images that observers see."""

    identity: ArmName
    """What it is called, with the seed of its training."""
    head: str | None = None
    """The observer head that was trained with it: "pixel", "eye" or "channels"; None if its loss has none."""
    overrides: Overrides = ()
    """What its settings differ in from the study's."""
    trained_at: float | None = None
    """The price at which the task path was trained that a path's arm belongs to."""

    @property
    def name(self) -> str:
        """As files have it, without the seed."""
        return str(self.identity.of_seed(None))

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.identity.seed or 0

    @property
    def task_weight(self) -> float | None:
        """λ; None for the low-dose images, the pretrained denoiser and the classical filters."""
        return self.identity.task_weight

    @property
    def alpha(self) -> float | None:
        """Weight of the λ denoiser in a blend with the control; None if it is no blend."""
        return self.identity.alpha

    @property
    def price(self) -> float | None:
        """Of a working point of the task path: its RMSE over the control's, less 1; None for other arms."""
        return self.identity.price

    @property
    def filter(self) -> str | None:
        """Name of a classical filter, or None."""
        return self.identity.filter

    @property
    def imported(self) -> str | None:
        """What the denoiser elsewhere is called that made its images, or those that its task path starts from."""
        return self.identity.imported

    @property
    def from_elsewhere(self) -> bool:
        """Whether its images were denoised elsewhere, or are a blend of such with the low-dose images."""
        return self.identity.kind == "import"

    @property
    def seedless(self) -> bool:
        """Whether it is the same for every training seed: the low-dose images, and those from elsewhere."""
        return self.identity.kind in ("low-dose", "import")

    @property
    def blended(self) -> bool:
        """Whether it is a blend of a λ denoiser with its control."""
        return self.identity.kind == "blend"

    @property
    def swept(self) -> bool:
        """Whether it is a λ of its own training: a point of the λ curve, the control among them."""
        return self.identity.kind == "lambda"

    @property
    def trained(self) -> bool:
        """Whether the arm has a fine-tuned denoiser of its own: a λ, or the task path at the price of its training."""
        return self.swept or (self.price is not None and self.price == self.trained_at)

    @property
    def mixed(self) -> bool:
        """Whether its images are made of two other arms' images, `parts`: a blend, or another price of a task path."""
        return self.alpha is not None or (self.price is not None and not self.trained)

    @property
    def controlled(self) -> bool:
        """Whether a fair control stands beside it, or it is one."""
        return self.task_weight is not None or self.price is not None

    @property
    def pretrained(self) -> bool:
        """Whether it is a denoiser trained by MSE alone."""
        return self.identity.kind == "mse"

    @property
    def file_stem(self) -> str:
        """File name of what its evaluation leaves."""
        return self.identity.file_stem

    @property
    def weights_stem(self) -> str:
        """File name of its weights: every price of a task path has those of the whole path."""
        return self._whole.file_stem

    @property
    def whole(self) -> str:
        """Its name without a price: what its weights are."""
        return str(self._whole.of_seed(None))

    @property
    def _whole(self) -> ArmName:
        return self._at(None)

    @property
    def control(self) -> str:
        """Name of the fair control: λ = 0 with all else alike; or the images from elsewhere that a path starts from."""
        return self.control_arm.name

    @property
    def control_arm(self) -> "Arm":
        """The fair control, see `control`."""
        identity = self.identity.control
        return Arm(identity) if identity.kind == "import" else Arm(identity, self.head, self.overrides)

    @property
    def base(self) -> str | None:
        """Name of the arm that its harm is measured against: its control; of images from elsewhere the low-dose ones.

        None for the others, and for a control itself.
        """
        if self.from_elsewhere:
            return LOW_DOSE
        return self.control if self.controlled and self.name != self.control else None

    @property
    def start(self) -> "Arm":
        """The pretrained denoiser that it was fine-tuned from."""
        names = {f"training.{name}" for name in PRETRAINING}
        own = tuple((name, value) for name, value in self.overrides if name in names or name.startswith("denoiser."))
        return Arm(ArmName("mse", variant=_variant(own), seed=self.seed), overrides=own)

    @property
    def parts(self) -> tuple["Arm", "Arm"]:
        """What its images are made of.

        Of a blend: the control and the λ denoiser, or the low-dose images and those from elsewhere; of a price of a
        path: the control and the path as trained.
        """
        if self.from_elsewhere and self.alpha is not None:
            whole = ArmName("import", imported=self.imported, seed=self.seed)
            return Arm(ArmName("low-dose", seed=self.seed)), Arm(whole)
        if self.price is not None:
            return self.control_arm, dataclasses.replace(self, identity=self._at(self.trained_at))
        if self.alpha is None:
            raise ValueError(f"{self.name} is no blend")
        unblended = ArmName("lambda", self.task_weight, variant=self.identity.variant, seed=self.seed)
        return self.control_arm, Arm(unblended, self.head, self.overrides)

    def _at(self, price: float | None) -> ArmName:
        return self.identity if self.identity.kind != "path" else dataclasses.replace(self.identity, price=price)

    @property
    def stage(self) -> str | None:
        """The stage that makes its model; None where there is nothing to make."""
        if self.pretrained:
            return f"pretrain{str(self.identity).removeprefix(MSE)}"
        if self.filter is not None:
            return f"tune {self.identity}"
        if self.price is not None:
            return str(self._whole) if self.trained else None
        if self.from_elsewhere:
            return None if self.mixed else self.name
        return f"finetune {self.identity}" if self.trained else None

    @property
    def depends_on(self) -> tuple[str, ...]:
        """The stages that must be done before its own, or before it is evaluated if it has none."""
        if self.mixed:
            return ("simulate", *(str(part.stage) for part in self.parts))
        if self.price is not None:
            return ("simulate", str(self.control_arm.stage))
        return ("simulate", str(self.start.stage)) if self.trained else ("simulate",)

    def settings(self, study: Settings) -> Settings:
        """The study's settings with what this arm has of its own."""
        return override(study, self.overrides)

    def as_inputs(self) -> dict[str, Any]:
        """What the key of a stage knows of its arm; a change here has every study done anew."""
        names = ["name", "seed", "task_weight", "alpha", "head", "overrides", "filter"]
        names += ["price", "trained_at"] if self.price is not None else []
        names += ["imported"] if self.imported is not None else []
        return {name: getattr(self, name) for name in names}


def _variant(overrides: Overrides) -> tuple[tuple[str, str], ...]:
    """What the names of a variant say of its settings."""
    pairs = []
    for setting, value in overrides:
        *_, section, name = setting.split(".")
        text = setting_text(value) if isinstance(value, float) else str(thawed(value))
        if setting == "denoiser.weights":
            text = PurePath(text).name  # a folder is this machine's
        pairs.append((f"{section}.{name}" if name in RESERVED else name, re.sub(r"\s+", "", text)))
    return tuple(pairs)


class FrozenDict(tuple[tuple[str, Any], ...]):
    """A mapping of settings as a tuple of its items."""


def _frozen(value: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
    if isinstance(value, dict):
        return FrozenDict((key, _frozen(one)) for key, one in value.items())
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def thawed(value: Any) -> Any:  # noqa: ANN401 - whatever YAML holds
    """A value of an override as settings take it."""
    if isinstance(value, FrozenDict):
        return {key: thawed(one) for key, one in value}
    return [thawed(one) for one in value] if isinstance(value, tuple) else value


def override(study: Settings, overrides: Overrides) -> Settings:
    """Settings with some of them changed."""
    if not overrides:
        return study
    return make_settings(study.model_dump(mode="json"), *(tree_of(name, thawed(value)) for name, value in overrides))


def variants_of(settings: Settings) -> list[Overrides]:
    """The study's own settings, as (), and every other point of its grid; a `UserError` if the grid is not allowed."""
    grid: Mapping[str, tuple[Any, ...]] = settings.grid
    points: list[Overrides] = [()]
    for values in itertools.product(*grid.values()):
        # Tuples, which can be compared and hashed, in place of lists and mappings.
        chosen = tuple((name, _frozen(value)) for name, value in zip(grid, values, strict=True))
        # What is as in the study is not said.
        own = tuple((name, value) for name, value in chosen if override(settings, ((name, value),)) != settings)
        if own not in points:
            points.append(own)
    names = [file_name("".join(f" {name}={value}" for name, value in _variant(point))) for point in points]
    if len(set(names)) != len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise UserError(f"two points of the grid have one name ({double.strip()}): leave one of their settings out")
    return points


def control_of(settings: Settings) -> str:
    """Name of the arm that prices of a study are told against.

    λ = 0; the images from elsewhere where only a task path on these is trained; the low-dose images where nothing is.
    """
    if settings.training.method == "none":
        return LOW_DOSE
    start = settings.imported.path_of
    return CONTROL if start is None or settings.training.method != "task-path" else f"import={start}"


def arms_of(settings: Settings) -> list[Arm]:
    """Every arm of a study, in the order of the report."""
    t = settings.training
    other = "pixel" if t.head != "pixel" else "eye"
    arms = []
    variants = variants_of(settings)
    for seed in t.seeds:
        arms.append(Arm(ArmName("low-dose", seed=seed)))
        arms += [Arm(ArmName("filter", filter=name, seed=seed)) for name in settings.denoiser.classical]
        arms += _imported(settings, seed)
        if t.method == "none":
            # A network that comes with its weights needs no training.
            arms += [] if settings.denoiser.weights is None else [Arm(ArmName("mse", seed=seed))]
            continue
        arms += _family(settings, seed, ())
        if t.other_head_lambda is not None and t.loss == "slnn" and t.method != "task-path":
            swapped: Overrides = (("training.head", other),)
            arms += [_trained(w, seed, other, swapped) for w in (0.0, t.other_head_lambda)]
        arms += _blends(settings, seed, ()) + _path(settings, seed, ())
        for own in variants[1:]:
            arms += [arm for arm in _family(settings, seed, own) if arm not in arms]
            arms += _blends(settings, seed, own) + _path(settings, seed, own)
    return arms


def _trained(weight: float, seed: int, head: str | None, own: Overrides) -> Arm:
    return Arm(ArmName("lambda", weight, variant=_variant(own), seed=seed), head, own)


def _imported(settings: Settings, seed: int) -> list[Arm]:
    """The images from elsewhere, and their blends with the low-dose ones."""
    return [
        Arm(ArmName("import", alpha=alpha, imported=name, seed=seed))
        for name in settings.imported.names
        for alpha in (None, *sorted(settings.imported.blend_alphas))
    ]


def _family(settings: Settings, seed: int, own: Overrides) -> list[Arm]:
    """The pretrained denoiser and every λ of one variant; of these the control alone, for the task path alone."""
    t = override(settings, own).training
    head = t.head if t.loss == "slnn" else None
    weights = sorted(t.lambdas) if t.method != "task-path" else [0.0]
    if t.method == "task-path" and settings.imported.path_of is not None:
        return []  # the path starts from images that are there
    arms = [_trained(w, seed, head, own) for w in weights]
    return [arms[0].start, *arms]


def _blends(settings: Settings, seed: int, own: Overrides) -> list[Arm]:
    t = override(settings, own).training
    if t.blend_lambda is None or t.method == "task-path":
        return []
    head, variant = t.head if t.loss == "slnn" else None, _variant(own)
    names = [ArmName("blend", t.blend_lambda, a, variant=variant, seed=seed) for a in sorted(t.blend_alphas)]
    return [Arm(name, head, own) for name in names]


def _path(settings: Settings, seed: int, own: Overrides) -> list[Arm]:
    """Every price of the task path of one variant."""
    changed = override(settings, own)
    t, p = changed.training, changed.path
    if t.method in ("joint", "none"):
        return []
    start = settings.imported.path_of
    names = [
        ArmName("path", price=price, imported=start, variant=_variant(own), seed=seed) for price in sorted(p.prices)
    ]
    return [Arm(name, t.head, own, trained_at=p.trained_at) for name in names]
