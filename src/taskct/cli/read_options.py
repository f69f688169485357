"""The options of the command read, in groups; nothing that computes is imported here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from taskct.cli.options import Device, TrustOption


@dataclass(frozen=True)
class WhereOptions:
    """What is read, and what is done with it."""

    source: Annotated[
        Path,
        Argument(
            metavar="RUN|DIR|STUDY",
            help="A run folder, or a folder with ARM/present and ARM/absent, to make a study of; or a study, to serve "
            "it on.",
        ),
    ]
    out_folder: Annotated[
        Path | None,
        Option("--out", metavar="STUDY", help="The folder of a new study; RUN-reading or DIR-reading when left out."),
    ] = None
    make_only: Annotated[bool, Option("--make-only", help="Make the study and do not serve it.")] = False
    results: Annotated[
        bool, Option("--results", help="Print what came out of a study so far, as taskct mrmc does.")
    ] = False


@dataclass(frozen=True)
class DesignOptions:
    """How a new study is designed."""

    arms: Annotated[
        str | None,
        Option(
            metavar="NAME,NAME",
            help="What readers compare: arms of a run as scores.csv has them, chosen or control; or folders of DIR. By "
            "default low-dose, mse and the chosen arm, or all folders.",
        ),
    ] = None
    design: Annotated[
        str | None,
        Option(
            metavar="2afc|4afc|rating|locate|froc",
            help="What a trial asks: which of two or four images holds the signal (2afc by default); confidence; the "
            "most suspicious place, with confidence; any number of places.",
        ),
    ] = None
    readers: Annotated[
        str | None,
        Option(metavar="N|NAME,NAME", help="How many readers, called reader-1 and on, or their names; 1 by default."),
    ] = None
    cases: Annotated[
        int | None,
        Option(
            metavar="N",
            help="Trials of each arm; half of them with a signal but in 2afc and 4afc. 100 of a run, all of DIR.",
        ),
    ] = None
    training: Annotated[
        int | None,
        Option(metavar="N", help="High-contrast trials with feedback before; 10, of DIR those in DIR/training."),
    ] = None
    scale: Annotated[int | None, Option(metavar="5|101", help="Points of confidence; 101 by default.")] = None
    window: Annotated[
        str | None,
        Option(metavar="C,W", help="Centre and width of the display window, HU; else that of the run's page."),
    ] = None
    fixed_window: Annotated[bool, Option("--fixed-window", help="Readers may not change the window.")] = False
    break_every: Annotated[
        int | None, Option(metavar="N", help="Trials between two offers of a break; 50 by default, 0 for none.")
    ] = None
    radius_mm: Annotated[
        float | None,
        Option(metavar="MM", help="locate, froc: how near a mark hits; half the largest diameter by default."),
    ] = None
    pixel_mm: Annotated[
        float | None, Option(metavar="MM", help="Pixel size of DIR's images, where these do not tell it.")
    ] = None
    title: Annotated[str | None, Option(metavar="TEXT", help="What readers see above the study.")] = None
    question: Annotated[str | None, Option(metavar="TEXT", help="What is asked at each trial.")] = None
    instructions: Annotated[
        Path | None, Option(metavar="FILE", help="Text for readers, its paragraphs apart by empty lines.")
    ] = None
    seed: Annotated[
        int | None, Option(metavar="N", min=0, help="Of cases and orders; a random one is drawn and kept by default.")
    ] = None
    device: Device = "auto"
    trust: TrustOption = None


@dataclass(frozen=True)
class ServeOptions:
    """Where a study is served."""

    host: Annotated[
        str | None, Option(metavar="H", help="Address to listen on; 127.0.0.1, this machine alone, by default.")
    ] = None
    port: Annotated[int | None, Option(metavar="P", help="8000 by default; 0 for any that is free.")] = None
    url: Annotated[
        str | None,
        Option(metavar="URL", help="How readers reach it where a proxy stands in front: https://reading.example.org"),
    ] = None
