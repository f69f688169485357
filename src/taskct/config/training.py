"""The settings of denoisers and their training."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Lt
from pydantic import AfterValidator, model_validator

from taskct.config.fields import Section, setting, within
from taskct.training.losses import LOSSES
from taskct.training.plan import (
    FINETUNING,
    PRETRAINING,
    RANGES,
    TASK_WEIGHT,
    Compile,
    HeadTraining,
    Keep,
    Plan,
    Precision,
)

if TYPE_CHECKING:
    LossName = str
else:
    LossName = Literal[tuple(LOSSES)]


def planned(name: str, text: str, plan: Plan = PRETRAINING) -> Any:  # noqa: ANN401 - a pydantic field
    """A field with the default that a number of a plan has, its unit and its range."""
    return setting(getattr(plan, name), text, RANGES[name].unit, **RANGES[name].limits())


TaskWeight = Annotated[
    float, within(TASK_WEIGHT), AfterValidator(lambda weight: weight + 0.0)  # -0.0 becomes 0.0
]
BlendWeight = Annotated[float, Gt(0), Lt(1)]
TrainingSeed = Annotated[int, Ge(0), Lt(2**31)]

NO_AXES = (
    "denoiser.classical",
    "training.method",
    "training.lambdas",
    "training.seeds",
    "training.other_head_lambda",
    "training.blend_lambda",
    "training.blend_alphas",
    "training.log_to",
)
"""Settings of denoiser and training that span the arms themselves, or change none of them."""


class DenoiserSettings(Section):
    """The network, weights that it may come with, and the classical filters beside it."""

    network: str = setting(
        "cnn", "cnn, context, dncnn, redcnn, unet, or the import path of a torch.nn.Module such as package.Class"
    )
    arguments: dict[str, Any] = setting({}, "keyword arguments of its constructor")
    weights: str | None = setting(
        None,
        "a file with trained weights of the network, safetensors or what torch.save makes of a state_dict; null trains "
        "it here",
    )
    offset_hu: float | None = setting(
        None,
        "the network sees (HU - offset_hu)/scale_hu; null is the mean of the training images",
        "HU",
        ge=-1e5,
        le=1e5,
    )
    scale_hu: float | None = setting(
        None, "as offset_hu; null is the standard deviation of the training images", "HU", gt=0, le=1e6
    )
    classical: tuple[Literal["nlm", "tv", "bilateral"], ...] = setting(
        (), "classical filters to compare with, tuned on the validation trials: nlm, tv, bilateral"
    )

    @model_validator(mode="after")
    def _scaling_is_whole(self) -> Self:
        if (self.offset_hu is None) != (self.scale_hu is None):
            raise ValueError(
                "denoiser.offset_hu and denoiser.scale_hu go together: the network sees (HU - offset_hu)/scale_hu; "
                "give both, or neither"
            )
        return self


class TrainingSettings(Section):
    """Pretraining by MSE, then joint fine-tuning for every λ, or the task path; or both."""

    method: Literal["joint", "task-path", "both", "none"] = setting(
        "joint",
        "joint fine-tuning for every λ (the paper's), one task path with a dial in RMSE, or both, see path; none for "
        "filters and imported images alone",
    )
    pretrain_epochs: int = planned("epochs", "epochs of pretraining")
    finetune_epochs: int = planned("epochs", "epochs of fine-tuning, the same for every λ", FINETUNING)
    batch_size: int = planned("batch_size", "trials in a step")
    learning_rate: float = planned("learning_rate", "peak learning rate of pretraining")
    finetune_learning_rate: float = planned("learning_rate", "peak learning rate of fine-tuning", FINETUNING)
    head_learning_rate: float = planned("head_learning_rate", "peak learning rate of the observer head")
    head_weight_decay: float = planned("head_weight_decay", "weight decay of the observer head")
    lambdas: tuple[TaskWeight, ...] = setting((0.0, 0.7, 0.95), "task weights λ; 0 is the control", min_length=2)
    loss: LossName = setting("slnn", "what the task asks for: the joint SLNN-NO's cross-entropy, or a rival")
    head: Literal["pixel", "eye", "channels", "pixel+eye"] = setting(
        "pixel", "loss=slnn: the head sees every pixel (the paper's), behind an eye, through channels; or two heads"
    )
    head_training: HeadTraining = setting(
        "warm", "loss=slnn: the head starts fitted and learns on, starts from 0, or is fitted and then kept"
    )
    head_channels: Literal["lg", "gabor", "sdog", "ddog"] = setting(
        "lg", "head=channels or loss=detectability: which channels"
    )
    head_per: Literal["study", "region", "site", "shape"] = setting(
        "study", "loss=slnn: one head for all trials, or one for every region, listed site or signal shape"
    )
    start: Literal["mse", "weights", "scratch"] = setting(
        "mse",
        "fine-tune the network that was pretrained here, or that of denoiser.weights, or train from fresh weights for "
        "pretrain_epochs more",
    )
    other_head_lambda: TaskWeight | None = setting(0.7, "the λ > 0 for the other head, ≤ 0.9 by default; null for none")
    blend_lambda: TaskWeight | None = setting(
        0.95, "the λ > 0 whose denoiser is blended with the control, the largest by default; null for none"
    )
    blend_alphas: tuple[BlendWeight, ...] = setting((0.1, 0.2, 0.35, 0.5, 0.7), "blending weights α")
    trainable: str = setting("all", "what is fine-tuned: all, last:K, first:K, or a pattern of parameter names")
    patch_pixels: int | None = planned(
        "patch_pixels", "pretraining: side of random patches, margin included; null takes whole images"
    )
    n_trials: Annotated[int, Ge(4)] | None = setting(
        None, "networks learn on the first so many training trials, repeated to as many steps; null takes all", "trials"
    )
    max_gradient_norm: float | None = planned(
        "max_gradient_norm", "longer gradients are shortened to it; null leaves them"
    )
    keep: Keep = setting(Plan.keep, "weights kept: after the last epoch, or the best on validation")
    patience: int | None = planned(
        "patience", "epochs without a better validation loss after which an arm stops; null never"
    )
    dtype: Precision = setting(
        Plan.dtype,
        "precision of the network's layers; auto is bfloat16 where the machine computes in it, and float32 for a "
        "network whose layers make the image",
    )
    compile: Compile = setting(
        Plan.compile, "torch.compile: auto where there is a compiler and the training is long enough to pay for it"
    )
    log_to: Literal["none", "tensorboard", "mlflow"] = setting(
        "none", "beside the JSON lines of RUN/logs: none, tensorboard or mlflow (extras of those names)"
    )
    seeds: tuple[TrainingSeed, ...] = setting((0,), "one training of everything per seed", min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _follow_the_lambdas(cls, given: Any) -> Any:  # noqa: ANN401 - pydantic checks it afterwards
        """Let `lambdas` be changed alone: the blend and the other head take one of its values."""
        lambdas = given.get("lambdas") if isinstance(given, dict) else None
        if not (isinstance(lambdas, list | tuple) and lambdas and all(isinstance(w, int | float) for w in lambdas)):
            return given
        other = max((w for w in lambdas if 0 < w <= 0.9), default=max(lambdas))
        return {"blend_lambda": max(lambdas), "other_head_lambda": other, **given}

    @model_validator(mode="after")
    def _arms_differ(self) -> Self:
        for name, weights in (("lambdas", self.lambdas), ("blend_alphas", self.blend_alphas)):
            if len(set(weights)) != len(weights):
                raise ValueError(f"training.{name} must differ, and {list(weights)} do not")
        if 0.0 not in self.lambdas:
            raise ValueError(f"training.lambdas must hold 0, the control, and {list(self.lambdas)} do not")
        for name, weight in (("blend_lambda", self.blend_lambda), ("other_head_lambda", self.other_head_lambda)):
            if weight is not None and (weight == 0 or weight not in self.lambdas):
                raise ValueError(f"training.{name} is {weight}: give a λ > 0 of training.lambdas, or null")
        if self.method in ("task-path", "both") and (self.loss != "slnn" or "+" in self.head):
            raise ValueError(f"training.method={self.method} needs training.loss=slnn and a single training.head")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"training.seeds must differ, and {list(self.seeds)} do not")
        return self
