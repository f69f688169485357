"""The command card: what a model is, what it learned on, and how it fared."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from taskct.cli.app import app
from taskct.cli.options import Json


@app.command()
def card(
    model: Annotated[Path, Argument(metavar="MODEL", help="Weights: RUN/models/ARM.safetensors.")],
    as_json: Json = False,
) -> None:
    """Print the card of a model: what it learned on, what it is for, and its test results.

    As in: taskct card runs/demo/models/path_seed=0.safetensors

    `taskct denoise` holds its input against what the model learned on.
    """
    from taskct.cli.terminal import plain_table, print_json, print_table
    from taskct.study.card_text import card_rows
    from taskct.study.cards import read_denoiser_card
    from taskct.study.model_results import read_model_results
    from taskct.study.run_folder import check_model

    content = read_denoiser_card(model)
    check_model(model)
    results = read_model_results(model)
    if as_json:
        print_json(content | {"results": None if results is None else results.model_dump()})
        return
    table = plain_table("", "")
    for name, text in card_rows(content, results):
        table.add_row(name, text)
    print_table(table)
