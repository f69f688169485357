"""Commands on a user's images: denoise, lower-dose. Each imports what computes when it is called."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from taskct.cli.app import app
from taskct.cli.options import Device, ProgressOption, TrustOption
from taskct.cli.terminal import note, print_line, show_progress
from taskct.denoisers.import_path import trust_network
from taskct.denoisers.prices import read_price
from taskct.scanner.presets import SCANNERS

StripPrivate = Annotated[
    bool,
    Option(
        "--strip-private", help="Leave private DICOM elements out, which may tell of patients or of the old pixels."
    ),
]


@app.command()
def denoise(
    model: Annotated[Path, Argument(metavar="MODEL", help="Weights: RUN/models/ARM.safetensors.")],
    source: Annotated[
        Path,
        Argument(metavar="IN", help="A .npy file in HU, a NIfTI file, a DICOM slice, or a folder with one CT series."),
    ],
    target: Annotated[
        Path, Argument(metavar="OUT", help="A .npy or NIfTI file, a folder for DICOM, or a .dcm file for one slice.")
    ],
    alpha: Annotated[
        float | None,
        Option(
            metavar="A",
            help="Share of the task in a blend, in [0, 1]: the dial of a .blend file, or MODEL with the control beside "
            "it, lambda=0 of the same seed. Without it: as the .blend file says, and 1 for other models.",
        ),
    ] = None,
    price: Annotated[
        str | None,
        Option(
            metavar="P",
            help="The dial of a task path, models/path_seed=N: RMSE over the control's, as 2% or 0.02, from 0 to 20 %. "
            "Without it: as its card says.",
        ),
    ] = None,
    tile: Annotated[
        int | None,
        Option(
            metavar="N", help="Denoise slices in pieces of N pixels, where memory is short; the result is the same."
        ),
    ] = None,
    pixel_mm: Annotated[
        float | None, Option("--pixel-mm", metavar="MM", help="Side of a pixel of a .npy file, which does not say it.")
    ] = None,
    anyway: Annotated[
        bool,
        Option("--anyway", help="Denoise also what lies far outside what the model learned on; `taskct card` says it."),
    ] = False,
    after: Annotated[
        Path | None,
        Option(
            metavar="PATH",
            help="For a task path on a denoiser elsewhere: what that made of IN, of the same kind and order.",
        ),
    ] = None,
    strip_private: StripPrivate = False,
    trust: TrustOption = None,
    device: Device = "auto",
    progress: ProgressOption = None,
) -> None:
    """Denoise a .npy file in HU, a NIfTI file, a DICOM slice or a CT series.

    As in: taskct denoise runs/demo/models/path_seed=0.safetensors CT_FOLDER OUT_FOLDER --price 2%

    With --price P a task path gives up so much RMSE for the task; at 0 its images are its control's. With --alpha A the
    result is (1 - A) times the control's image plus A times that of MODEL. Pixel size, noise and HU of the input are
    held against what the model learned on: what lies outside is told, what lies far outside is refused. A written
    series keeps the patient's name, numbers and dates: it is not de-identified.
    """
    from taskct.apply.denoise_files import denoise_path
    from taskct.machine import resolve_device

    trust_network(*trust or ())
    where = resolve_device(device)
    with show_progress(progress) as show:
        opened = show.open("denoise")
        written = denoise_path(
            model,
            source,
            target,
            alpha=alpha,
            price=None if price is None else read_price(price),
            tile=tile,
            strip_private=strip_private,
            device=where,
            progress=opened,
            pixel_mm=pixel_mm,
            anyway=anyway,
            tell=note,
            after=after,
        )
    print_line(f"Denoised: {written}")


@app.command(name="export-model")
def export_model_command(
    model: Annotated[Path, Argument(metavar="MODEL", help="Weights of an arm, a blend or a task path.")],
    target: Annotated[
        Path, Argument(metavar="OUT", help="A new file that ends in .onnx; of a bundle a new folder or .zip file.")
    ],
    bundle: Annotated[bool, Option("--bundle", help="Write a MONAI bundle in place of an ONNX file.")] = False,
    trust: TrustOption = None,
) -> None:
    """Write a trained denoiser as an ONNX file or a MONAI bundle, its dial an input.

    As in: taskct export-model runs/demo/models/path_seed=0.safetensors path.onnx

    Images are in HU, float32, (n, height, width). A task path has a second input, price, and a blend has alpha: scalars
    of float32. It computes in float32. What is written is run on images of other sizes, and refused where it is more
    than 0.01 HU off. ONNX needs the packages of taskct[onnx].

    A bundle has TorchScript, a configuration for volumes of NIfTI and the metadata of MONAI; its dial is a number of
    the configuration. Nothing of MONAI is needed to write it.
    """
    from taskct.apply.export import export_onnx
    from taskct.apply.export_bundle import export_bundle

    trust_network(*trust or ())
    written = (export_bundle if bundle else export_onnx)(model, target)
    dial = "" if written.dial is None else f", {written.dial}"
    sizes = "any size" if written.size_multiple == 1 else f"sides that are multiples of {written.size_multiple} pixels"
    sizes = sizes if written.side is None else f"{written.side} x {written.side} pixels alone"
    print_line(f"Written: {written.path}; inputs: {'image' if bundle else 'image_hu'}, of {sizes}{dial}")


@app.command(name="lower-dose")
def lower_dose_command(
    source: Annotated[
        Path, Argument(metavar="IN", help="A folder with one CT series, a DICOM slice, or a NIfTI file.")
    ],
    target: Annotated[
        Path, Argument(metavar="OUT", help="A folder for the new series, a .dcm file for one slice, or a NIfTI file.")
    ],
    dose_fraction: Annotated[float, Option(metavar="D", help="Of the dose of the series, in (0, 1).")],
    noise_hu: Annotated[float, Option(metavar="HU", help="Noise of the series in the middle of its middle slice.")],
    model: Annotated[str, Option(metavar="NAME", help=f"Scanner: {', '.join(SCANNERS)}.")] = "siemens-definition-as",
    kernel: Annotated[
        str, Option(metavar="NAME", help="What the series was reconstructed with: soft, sharp, hann…")
    ] = "soft",
    metal_hu: Annotated[
        float | None,
        Option(metavar="HU", help="Attenuation above this counts as this for the noise; image values stay."),
    ] = None,
    seed: Annotated[int, Option(metavar="N", min=0, help="Of the noise.")] = 0,
    strip_private: StripPrivate = False,
    device: Device = "auto",
    progress: ProgressOption = None,
) -> None:
    """Simulate a lower dose in an existing CT series by inserting the noise that is missing.

    As in: taskct lower-dose CT_FOLDER OUT_FOLDER --dose-fraction 0.25 --noise-hu 12

    The noise has the correlation of the kernel and follows the attenuation of every ray; each slice has its own, also
    where slices overlap. Measure --noise-hu in a uniform organ near the middle, at the dose that the series has.
    Exposure and CTDIvol in the headers are scaled. The written series keeps the patient's name, numbers and dates: it
    is not de-identified.
    """
    from taskct.apply.lower_dose import DoseReduction, lower_dose
    from taskct.machine import resolve_device

    where = resolve_device(device)
    with show_progress(progress) as show:
        written = lower_dose(
            source,
            target,
            DoseReduction(dose_fraction, noise_hu, model=model, kernel=kernel, metal_hu=metal_hu, seed=seed),
            strip_private=strip_private,
            device=where,
            progress=show.open("lower dose"),
        )
    print_line(f"Written: {written}")
