"""Draws the way of the data, from recipe and rows to adapter and proof, with its gates and their errors.

python docs/assets/way_svg.py
"""

from dataclasses import dataclass
from pathlib import Path

from drawing import BLUE, FAINT, GREEN, GREY, RED, Drawing

PICTURE = Path(__file__).with_name("way.svg")
LEFT, WIDE, HIGH, STEP = 120, 300, 46, 78


@dataclass(frozen=True)
class Stage:
    """What there is, what made it, in which room, and the error of whoever could not make it."""

    what: str
    how: str
    room: str
    error: str
    gate: str


STAGES = (
    Stage("Recipe", "pure data, frozen, fingerprinted", "recipe", "RecipeError", "parse"),
    Stage("Components by name", "loaders, evaluators, model sources", "plugins", "PluginError", "resolve"),
    Stage("Rows → conversations", "any format, one kind of example", "data", "DataError", "run"),
    Stage("Token rows", "with loss masks that are proved", "data", "DataError", "run"),
    Stage("Packs", "what rows begin with is there once", "forward", "ModelError", "run"),
    Stage("Steps", "base model frozen, adapter trained", "engine", "TrainingError", "run"),
    Stage("Checkpoints", "whole or not there; to the same bits", "checkpoints", "CheckpointError", "run"),
    Stage("Adapter and passport", "read back before it is handed over", "artifacts", "AdapterError", "run"),
    Stage("Base against tuned", "scores, intervals, what was forgotten", "evaluation", "PluginError", "run"),
)


def draw() -> Drawing:
    sheet = Drawing(760, 40 + STEP * len(STAGES), title="The way of the data through the rooms of lorasdk")
    for number, stage in enumerate(STAGES):
        top = 24 + number * STEP
        fill = GREEN if number >= len(STAGES) - 2 else BLUE
        sheet.box(LEFT, top, WIDE, HIGH, stage.what, stage.how, fill=fill)
        sheet.box(LEFT + WIDE + 170, top + 8, 150, HIGH - 16, stage.error, fill=RED, size=12)
        sheet.text(LEFT + WIDE + 14, top + HIGH / 2 + 4, f"{stage.room}/", size=12, fill=FAINT)
        sheet.line([(LEFT + WIDE + 100, top + HIGH / 2), (LEFT + WIDE + 166, top + HIGH / 2)])
        if number:
            sheet.arrow([(LEFT + WIDE / 2, top - STEP + HIGH), (LEFT + WIDE / 2, top - 1)])
    _gates(sheet)
    return sheet


def _gates(sheet: Drawing) -> None:
    """Brackets on the left: which stages a gate is responsible for."""
    for gate in dict.fromkeys(stage.gate for stage in STAGES):
        numbers = [number for number, stage in enumerate(STAGES) if stage.gate == gate]
        top, bottom = 24 + numbers[0] * STEP, 24 + numbers[-1] * STEP + HIGH
        sheet.line([(LEFT - 14, top), (LEFT - 22, top), (LEFT - 22, bottom), (LEFT - 14, bottom)], stroke=FAINT)
        sheet.box(12, (top + bottom) / 2 - 14, 78, 28, gate, fill=GREY, size=12)


if __name__ == "__main__":
    draw().save(PICTURE)
    print(PICTURE)
