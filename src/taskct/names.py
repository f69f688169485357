"""What things are called in files, in file names and on the page: values of settings, arms and observers."""

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Literal

LOW_DOSE = "low-dose"
MSE = "mse"
CONTROL = "lambda=0"
"""Names of the arms that every study has, as files write them."""

JOINT = "slnn_joint"
"""The observer that was trained with the arm; every other one is fitted afresh to the arm's images."""

MAX_BYTES = 180
"""Longest file name kept as it is: file systems allow 255 bytes, and `.last-good.safetensors.partial` comes after."""

KEPT_BYTES = 150

NARROW = "\N{NO-BREAK SPACE}"

ArmKind = Literal["low-dose", "mse", "lambda", "blend", "filter", "path", "import"]

RESERVED = ("alpha", "price", "seed", "import")
"""What names say of an arm itself; a variant's setting of such a name is told by its last two parts."""

IMPORT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
"""What images that were denoised elsewhere may be called, but for names of other arms, `NOT_FOR_IMPORTS`."""

NOT_FOR_IMPORTS = (LOW_DOSE, MSE, "lambda", "path", "reference", "control")
"""What other images of a study are called."""


def check_import_name(name: str) -> str:
    """The name, if images that were denoised elsewhere may be called so; else a ValueError that says what may be."""
    if name in NOT_FOR_IMPORTS:
        raise ValueError(f"{name!r} is what other images of a study are called: give another name")
    if not IMPORT_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: give 1 to 40 small letters, digits, points, hyphens or underscores")
    return name


def setting_text(value: float) -> str:
    """Write a number short, but so that no other is written alike and it reads back as the same.

    Six digits where they say all, else as many as it takes.

    >>> setting_text(0.7), setting_text(0.0), setting_text(0.9999999), setting_text(0.9500001)
    ('0.7', '0', '0.9999999', '0.9500001')
    """
    short = f"{value:g}"
    return short if float(short) == value else repr(float(value))


def percent_text(share: float) -> str:
    """A share in percent, short, that does not break across lines.

    >>> percent_text(0.02).replace("\N{NO-BREAK SPACE}", " "), percent_text(0.005).replace("\N{NO-BREAK SPACE}", " ")
    ('2 %', '0.5 %')
    """
    return f"{setting_text(float(f'{100.0 * share:.12g}'))}{NARROW}%"


def bounded(text: str, name: str) -> str:
    """A file name without its ending, or, where it is too long, its beginning and a digest of the `name` it stands for.

    Two names never share a file, whatever characters a file name cannot have.

    >>> bounded("lambda=0.9_seed=0", "lambda=0.9 seed=0")
    'lambda=0.9_seed=0'
    >>> len(bounded("n" * 500, "n" * 500))
    167
    """
    raw = text.encode("utf-8")
    if len(raw) <= MAX_BYTES:
        return text
    digest = hashlib.sha256(name.encode("utf-8")).hexdigest()[:16]
    return f"{raw[:KEPT_BYTES].decode('utf-8', 'ignore')}~{digest}"


def file_name(name: str) -> str:
    """The name of an arm as file names have it."""
    return bounded(re.sub(r"[^\w=.,:+-]", "_", name), name)


@dataclass(frozen=True)
class ArmName:
    """Which arm of a study: its name in files is `str(name)`, and `ArmName.parse` reads it.

    Examples
    --------
    >>> str(ArmName("blend", 0.9, alpha=0.2, variant=(("n_layers", "9"),), seed=1))
    'lambda=0.9 alpha=0.2 n_layers=9 seed=1'
    >>> ArmName.parse("lambda=0.9 head=eye").task_weight
    0.9
    """

    kind: ArmKind
    task_weight: float | None = None
    """λ in [0, 1), of the kinds "lambda" and "blend"; None for the others."""
    alpha: float | None = None
    """Share of the λ denoiser in a blend with the control, in (0, 1); None if it is no blend."""
    filter: str | None = None
    """Name of a classical filter, of the kind "filter"."""
    variant: tuple[tuple[str, str], ...] = ()
    """Names and values of the settings in which it differs from the study."""
    seed: int | None = None
    """Of the training; None where a file tells it elsewhere."""
    price: float | None = None
    """RMSE over the control's, less 1, of the kind "path"; None there for the path as a whole, with its dial."""
    imported: str | None = None
    """Name of the denoiser elsewhere that made the images, of the kind "import"; of the kind "path" whose images it
    starts from, None for those of λ = 0. An "import" with an α is blended with the low-dose images."""

    def __post_init__(self) -> None:
        given = self.task_weight is not None, self.filter is not None
        if given != (self.kind in ("lambda", "blend"), self.kind == "filter"):
            raise ValueError(f"an arm of the kind {self.kind} has λ and filter {given}")
        if (self.alpha is not None) != (self.kind == "blend") and not (
            self.alpha is not None and self.kind == "import"
        ):
            raise ValueError(f"an arm of the kind {self.kind} has the α {self.alpha}")
        if self.price is not None and self.kind != "path":
            raise ValueError(f"an arm of the kind {self.kind} has a price")
        if self.imported is None if self.kind == "import" else self.imported is not None and self.kind != "path":
            raise ValueError(f"an arm of the kind {self.kind} has imported images {self.imported}")

    @classmethod
    def parse(cls, text: str) -> "ArmName":
        """Read the name of an arm, with or without its seed."""
        first, *words = text.split() or [""]
        pairs = [(key, value) for key, equals, value in (word.partition("=") for word in words) if equals]
        if len(pairs) < len(words) or not first:
            raise ValueError(f"{text!r} is no arm's name")
        seed = int(pairs.pop()[1]) if pairs and pairs[-1][0] == "seed" else None
        kind, equals, value = first.partition("=")
        if kind == "lambda" and equals:
            alpha = float(pairs.pop(0)[1]) if pairs and pairs[0][0] == "alpha" else None
            return cls("lambda" if alpha is None else "blend", float(value), alpha, variant=tuple(pairs), seed=seed)
        if kind == "import" and equals:
            alpha = float(pairs.pop(0)[1]) if pairs and pairs[0][0] == "alpha" else None
            return cls("import", alpha=alpha, imported=value, variant=tuple(pairs), seed=seed)
        if first == "path":
            source = pairs.pop(0)[1] if pairs and pairs[0][0] == "import" else None
            price = float(pairs.pop(0)[1]) if pairs and pairs[0][0] == "price" else None
            return cls("path", price=price, imported=source, variant=tuple(pairs), seed=seed)
        for other in ("low-dose", "mse"):
            if first == other:
                return cls(other, variant=tuple(pairs), seed=seed)
        return cls("filter", filter=first, variant=tuple(pairs), seed=seed)

    def __str__(self) -> str:
        numbers = (("lambda", self.task_weight), ("alpha", self.alpha))
        words = [f"{name}={setting_text(value)}" for name, value in numbers if value is not None]
        if self.imported is not None:
            words = [*(["path"] if self.kind == "path" else []), f"import={self.imported}", *words]
        words = words or [self.filter or self.kind]
        words += [] if self.price is None else [f"price={setting_text(self.price)}"]
        words += [f"{name}={value}" for name, value in self.variant]
        return " ".join(words if self.seed is None else [*words, f"seed={self.seed}"])

    def of_seed(self, seed: int | None) -> "ArmName":
        """The same arm of another training seed, or of none."""
        return replace(self, seed=seed)

    @property
    def quoted(self) -> str:
        """As `choices.json` has it: with the seed, but for seed 0."""
        return str(self if self.seed else self.of_seed(None))

    @property
    def control(self) -> "ArmName":
        """The fair control: λ = 0 with all else alike; of a task path on images from elsewhere, these images."""
        if self.kind == "path" and self.imported is not None:
            return ArmName("import", imported=self.imported, seed=self.seed)
        return ArmName("lambda", 0.0, variant=self.variant, seed=self.seed)

    @property
    def file_stem(self) -> str:
        """File name of its weights, without the ending."""
        return file_name(str(self))

    @property
    def label(self) -> str:
        """The name as the page has it; a symbol and its value do not break across lines.

        Examples
        --------
        >>> ArmName.parse("lambda=0.9 alpha=0.2").label.replace("\N{NO-BREAK SPACE}", " ")
        'λ = 0.9, α = 0.2'
        >>> ArmName.parse("low-dose seed=1").label.replace("\N{NO-BREAK SPACE}", " ")
        'low-dose images, seed 1'
        >>> ArmName.parse("path price=0.02").label.replace("\N{NO-BREAK SPACE}", " ")
        'task path, price 2 %'
        >>> ArmName.parse("path import=vendor-x price=0.02").label.replace("\N{NO-BREAK SPACE}", " ")
        'task path after vendor-x, price 2 %'
        """
        plain = {"low-dose": "low-dose images", "mse": "MSE", "filter": self.filter, "path": "task path"}
        symbols = (("λ", self.task_weight), ("α", self.alpha))
        words = [f"{symbol}{NARROW}={NARROW}{setting_text(value)}" for symbol, value in symbols if value is not None]
        if self.imported is not None:
            words = [f"task path after {self.imported}" if self.kind == "path" else self.imported, *words]
        words = words or [str(plain[self.kind])]
        if self.price is not None:
            words.append(f"price{NARROW}{percent_text(self.price)}")
        words += [f"{value} head" if name == "head" else f"{name}={value}" for name, value in self.variant]
        return ", ".join(words if self.seed is None else [*words, f"seed{NARROW}{self.seed}"])


def fitted_as(observer: str) -> tuple[str, str]:
    """An observer as `scores.csv` has it, in the columns `observer` and `fitted`.

    >>> fitted_as("slnn_joint"), fitted_as("ho")
    (('slnn', 'joint'), ('ho', 'fresh'))
    """
    return (JOINT.removesuffix("_joint"), "joint") if observer == JOINT else (observer, "fresh")


def observer_of(observer: str, fitted: str) -> str:
    """The name of an observer from these two columns; the reverse of `fitted_as`.

    >>> observer_of("slnn", "joint"), observer_of("ho", "fresh")
    ('slnn_joint', 'ho')
    """
    return f"{observer}_joint" if fitted == "joint" and not observer.endswith("_joint") else observer
