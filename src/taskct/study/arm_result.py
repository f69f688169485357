"""What the evaluation of an arm found, in memory and on disk: arrays in .npz, the rest in .json, never a pickle."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskct.errors import UserError, unreadable
from taskct.files import json_values, named, write_npz, write_text
from taskct.reading import read_json, read_npz
from taskct.study.arms import Arm
from taskct.study.frozen import Template
from taskct.study.harm import Harm
from taskct.study.run_folder import RunFolder

Images = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class NearLimitScores:
    """Test statistics of an observer that is near its limit of many training trials; see `taskct.observers.limit`."""

    scores: NDArray[np.float64]
    """`(n_test,)`."""
    kept: float
    """Share of the limit's SNR² that they have, in (0, 1]."""
    kept_std: float
    value: float | None
    """Regularization in the limit, chosen on validation trials."""


@dataclass
class ArmResult:
    """What the test trials say of one arm."""

    arm: Arm
    scores: dict[str, NDArray[np.float64]]
    """Test statistics by observer, `(n_test,)`, as they are listed; "slnn_joint", the jointly trained one, first.
    One that this arm's images do not suit is missing."""
    quality: dict[str, NDArray[np.float64]]
    """`mse_hu2`, `psnr_db`, `ssim`, `site_bias_hu`, `peak_disc_hu`, each `(n_test,)`."""
    regularization: dict[str, float]
    """Chosen on validation trials, by fresh observer."""
    validation_auc: dict[str, float]
    """By observer, on the validation trials."""
    validation_rmse_hu: float
    template: NDArray[np.float64] | None
    """The joint SLNN-NO's, 1/HU, or None."""
    examples: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    """The panel's trials, denoised, HU."""
    notes: dict[str, str] = field(default_factory=dict)
    """What is to be known of a fresh observer, by name; also why one is missing from the scores."""
    frozen: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Test statistics of observers fitted on other images, by "SOURCE/OBSERVER", `(n_test,)`."""
    templates: dict[str, Template] = field(default_factory=dict)
    """Observers for other arms to meet unchanged, by "SOURCE/OBSERVER", in a file of their own; of the low-dose and the
    MSE images, as they come out of an evaluation."""
    harm: Harm = field(default_factory=Harm)
    physics: Harm = field(default_factory=Harm)
    """Numbers of a row of `physics.json`, and curves of `physics.npz`."""
    conventions: list[dict[str, Any]] = field(default_factory=list)
    """Image quality in the conventions of public benchmarks: rows of `conventions.json`."""
    near_limit: dict[str, NearLimitScores] = field(default_factory=dict)
    """By fresh observer."""
    no_limit: dict[str, str] = field(default_factory=dict)
    """Why the limit of other fresh observers is not known."""


def read_images(place: Path) -> Images:
    """The images that an arm's evaluation kept, HU, by split."""
    return {name: array.astype(np.float32, copy=False) for name, array in read_npz(named(place, ".images.npz")).items()}


def write_result(place: Path, result: ArmResult) -> None:
    """Keep what the evaluation of an arm found: arrays in a .npz, the rest in a .json."""
    arrays: dict[str, NDArray[Any]] = {f"scores/{name}": values for name, values in result.scores.items()}
    arrays |= {f"quality/{name}": values for name, values in result.quality.items()}
    arrays |= {f"frozen/{name}": values for name, values in result.frozen.items()}
    arrays |= {f"harm/{name}": values for name, values in result.harm.arrays.items()}
    arrays |= {f"physics/{name}": values for name, values in result.physics.arrays.items()}
    arrays |= {f"limit/{name}": one.scores for name, one in result.near_limit.items()}
    arrays["examples"] = result.examples
    if result.template is not None:
        arrays["template"] = result.template
    write_npz(named(place, ".npz"), arrays, compress=False)
    content = {
        "schema": 1,
        "arm": result.arm.name,
        "seed": result.arm.seed,
        "regularization": result.regularization,
        "validation_auc": result.validation_auc,
        "validation_rmse_hu": result.validation_rmse_hu,
        "notes": result.notes,
        "harm": json_values(result.harm.numbers),
        "physics": json_values(result.physics.numbers),
        "conventions": json_values(result.conventions),
        "limits": {n: [one.kept, one.kept_std, one.value] for n, one in result.near_limit.items()},
        "no_limit": result.no_limit,
    }
    write_text(named(place, ".json"), json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_templates(place: Path, templates: Mapping[str, Template]) -> None:
    """Keep the observers that other arms are to meet, by "SOURCE/OBSERVER"."""
    arrays: dict[str, NDArray[Any]] = {f"weights/{name}": one.weights for name, one in templates.items()}
    arrays |= {f"numbers/{name}": np.array(one.numbers) for name, one in templates.items()}
    write_npz(named(place, ".templates.npz"), arrays, compress=False)


def read_templates(place: Path) -> dict[str, Template]:
    """The observers that an evaluation left for others; a `UserError` if they are missing or broken."""
    file = named(place, ".templates.npz")
    arrays = read_npz(file)
    with made_anew_by("evaluate", file):
        numbers = _below("numbers/", arrays)
        return {name: Template.of(w, numbers[name]) for name, w in _below("weights/", arrays).items()}


def _below(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def read_result(run: RunFolder, arm: Arm) -> ArmResult:
    """What `evaluate_arm` found of an arm; a `UserError` if it is missing or broken."""
    place = run.evaluated(arm.file_stem)
    arrays, card = read_npz(named(place, ".npz")), named(place, ".json")
    with made_anew_by("evaluate", card):
        content = read_json(card, "what an evaluation found", "delete it, and `taskct evaluate` makes it anew")
        return ArmResult(
            arm=arm,
            scores=_below("scores/", arrays),
            quality=_below("quality/", arrays),
            regularization=content["regularization"],
            validation_auc=content["validation_auc"],
            validation_rmse_hu=content["validation_rmse_hu"],
            template=arrays.get("template"),
            examples=arrays["examples"],
            notes=content["notes"],
            frozen=_below("frozen/", arrays),
            harm=Harm(content["harm"], _below("harm/", arrays)),
            physics=Harm(content["physics"], _below("physics/", arrays)),
            conventions=content["conventions"],
            near_limit={
                name: NearLimitScores(scores, *content["limits"][name])
                for name, scores in _below("limit/", arrays).items()
            },
            no_limit=content["no_limit"],
        )


@contextmanager
def made_anew_by(command: str, file: Path) -> Iterator[None]:
    """Say which command makes a file anew that is missing or broken."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{file} is missing: `taskct {command}` makes it anew") from None
    except OSError as error:
        raise unreadable(file, error) from error
    except UserError:
        raise
    except Exception as error:  # whatever is not as it was written
        raise UserError(f"{file} cannot be read ({error}): delete it, and `taskct {command}` makes it anew") from error
