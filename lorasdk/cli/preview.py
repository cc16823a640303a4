"""`lorasdk preview`: rows as the model will see them."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from lorasdk.cli.arguments import Json, Recipe, Set
from lorasdk.cli.output import print_json, results_console
from lorasdk.finetuner import FineTuner
from lorasdk.results import PreviewRow

TRAINED = "bold green underline"
GIVEN = "dim"


def preview(
    recipe: Recipe,
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows of each split.")] = 3,
    set_: Set = None,
    json: Json = False,
) -> None:
    """Show rows as the model will see them, with the tokens that are trained on told apart; proves all masks."""
    with FineTuner.from_recipe(recipe, overrides=set_ or ()) as tuner:
        shown = tuner.preview(rows)
    if json:
        print_json({"rows": [_plain(row) for row in shown]})
        return
    console = results_console()
    colours = console.color_system is not None
    legend = Text("given", GIVEN) + Text(" · ") + Text("trained on" if colours else "⟦trained on⟧", TRAINED)
    console.print(legend)
    for row in shown:
        console.rule(
            f"{row.split} row {row.row}: {row.tokens} tokens, {row.supervised_tokens} trained on", align="left"
        )
        console.print(_text(row, marks=not colours), soft_wrap=True)


def _text(row: PreviewRow, *, marks: bool) -> Text:
    text = Text()
    for span in row.spans:
        content = f"⟦{span.text}⟧" if marks and span.supervised else span.text
        text.append(content, TRAINED if span.supervised else GIVEN)
    return text


def _plain(row: PreviewRow) -> dict[str, object]:
    counts = {"tokens": row.tokens, "supervised_tokens": row.supervised_tokens}
    return {"split": row.split, "row": row.row, **counts, "spans": row.spans}
