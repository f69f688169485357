"""The arms of a study: which denoisers are compared, and by what name."""

from dataclasses import dataclass

from taskct.config import Settings

LOW_DOSE = "low-dose"
MSE = "mse"
CONTROL = "lambda=0"


@dataclass(frozen=True)
class Arm:
    """One way to make the images that observers see."""

    name: str
    seed: int
    """Of the training."""
    task_weight: float | None = None
    """λ; None for the low-dose images and the pretrained denoiser."""
    alpha: float | None = None
    """Weight of the λ denoiser in a blend with the control; None if it is no blend."""
    head: str | None = None
    """The observer head that was trained with it, "pixel" or "eye"."""

    @property
    def trained(self) -> bool:
        """Whether the arm has a fine-tuned denoiser of its own."""
        return self.task_weight is not None and self.alpha is None

    @property
    def file_stem(self) -> str:
        """File name of its weights."""
        return f"{self.name} seed={self.seed}".replace(" ", "_")

    @property
    def control(self) -> str:
        """Name of the fair control: λ = 0 with the same head."""
        return CONTROL + (" head=" + self.name.partition(" head=")[2] if " head=" in self.name else "")


def arms_of(settings: Settings) -> list[Arm]:
    """Every arm of a study, in the order of the report."""
    t = settings.training
    other = "pixel" if t.head == "eye" else "eye"
    arms = []
    for seed in t.seeds:
        arms += [Arm(LOW_DOSE, seed), Arm(MSE, seed)]
        arms += [Arm(f"lambda={w:g}", seed, w, None, t.head) for w in sorted(t.lambdas)]
        if t.other_head_lambda is not None:
            arms += [Arm(f"lambda={w:g} head={other}", seed, w, None, other) for w in (0.0, t.other_head_lambda)]
        if t.blend_lambda is not None:
            w = t.blend_lambda
            arms += [Arm(f"lambda={w:g} alpha={a:g}", seed, w, a, t.head) for a in sorted(t.blend_alphas)]
    return arms
