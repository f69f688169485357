"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from taskct.cli.terminal import ProgressMode
from taskct.config import preset_names

Device = Annotated[
    str, Option("--device", help="Where to compute; auto takes CUDA if there is any.", metavar="auto|cpu|cuda")
]
SetOption = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="NAME=VALUE",
        help="Change one setting, as in --set scanner.dose_fraction=0.5; repeatable. `taskct config` lists them.",
    ),
]
Seed = Annotated[
    int | None, Option("--seed", metavar="N", min=0, help="The same as --set seed=N: another draw of the trials.")
]
Preset = Annotated[
    str | None,
    Option("--preset", metavar="NAME", help=f"Settings that come with taskct: {' or '.join(preset_names())}."),
]
Config = Annotated[
    Path | None, Argument(metavar="[CONFIG]", help="A YAML file of settings; `taskct config --yaml` prints one.")
]
Run = Annotated[Path, Argument(metavar="RUN", help="A run folder, as `taskct run` or `taskct simulate` makes it.")]
Out = Annotated[Path, Option("--out", metavar="RUN", help="The run folder; made, or gone on with if it is there.")]

TrustOption = Annotated[
    list[str] | None,
    Option(
        "--trust-network",
        metavar="PATH",
        help="Import this network, package.Class, where a card or run folder names it: that runs its code; repeatable.",
    ),
]

Workers = Annotated[
    int | None,
    Option("--workers", metavar="N", min=1, help="Processes at a time; one a core by default, one a GPU on CUDA."),
]
Threads = Annotated[
    int | None,
    Option(
        "--threads",
        metavar="N",
        min=1,
        help="Threads of every stage; by default all of this machine, shared fairly, and 1 on a cluster.",
    ),
]
ExecutorOption = Annotated[
    str | None,
    Option(
        "--executor",
        metavar="dask://HOST:PORT",
        help="Do the stages on the workers of this Dask scheduler, tls://HOST:PORT for one with TLS; all must see the "
        "run folder by the same path, or reach --store.",
    ),
]
StoreOption = Annotated[
    str | None,
    Option(
        "--store",
        metavar="URL",
        help="With --executor: files travel by this place, such as s3://BUCKET/PREFIX, and workers share no disk.",
    ),
]

ProgressOption = Annotated[
    ProgressMode | None,
    Option(
        "--progress",
        help="Bars, a line at least once a minute and for every stage that ends, or nothing; by default bars in a "
        "terminal and lines elsewhere.",
    ),
]

Margin = Annotated[
    float | None,
    Option(
        "--margin",
        metavar="M",
        help="Test non-inferiority and equivalence of each difference of AUCs with this margin, such as 0.05.",
    ),
]
Json = Annotated[bool, Option("--json", help="Print JSON instead of tables.")]
Confidence = Annotated[float, Option("--confidence", metavar="C", help="Coverage of every interval, in (0, 1).")]
