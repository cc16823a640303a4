"""Takes pictures of the terminal: a row of `lorasdk preview`, and `lorasdk train` half-way with its bar.

    lorasdk demo
    python docs/assets/terminal_svg.py runs/wordnet-kinds/run-0001

Both are drawn by what the command line itself draws with: previews from the shipped recipes, the bar from the events
that the run wrote down.
"""

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from lorasdk import Event, StepFinished, read_events
from lorasdk.cli import progress

HERE = Path(__file__).parent
WIDTH = 96
SIZE = 'viewBox="0 0 {width} {height}"'
FRAME = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
FRAME = FRAME.replace("Fira Code, ", "").replace(SIZE, 'width="{width}" height="{height}" ' + SIZE)
"""Rich's own frame without fonts from elsewhere, since a page of the documentation asks nobody for anything."""


def recording() -> Console:
    return Console(
        file=io.StringIO(), record=True, force_terminal=True, color_system="truecolor", width=WIDTH, highlight=False
    )


def save(console: Console, path: Path, *, title: str) -> None:
    path.write_text(console.export_svg(title=title, code_format=FRAME, unique_id=path.stem), "utf-8")


def take_preview(recipe: Path, path: Path, *, options: tuple[str, ...] = ()) -> None:
    """What the command prints on a terminal with colours."""
    command = [sys.executable, "-m", "lorasdk", "preview", str(recipe), "--rows", "1", *options]
    colours = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": str(WIDTH)}
    printed = subprocess.run(command, env=colours, check=True, capture_output=True, text=True).stdout
    console = recording()
    console.print(Text.from_ansi(printed))
    save(console, path, title=f"lorasdk preview {recipe.name}")


def take_progress(events: list[Event], path: Path, *, title: str) -> None:
    """What a training shows half-way."""
    nowhere = Console(file=io.StringIO(), force_terminal=True, width=WIDTH)
    with patch.object(progress, "errors_console", lambda: nowhere), progress.shown_progress() as shown:
        console = recording()
        watcher = progress.Watcher(console, shown.progress)
        for event in until_half_way(events):
            watcher(event)
        console.print(shown.progress.get_renderable())
    save(console, path, title=title)


def until_half_way(events: list[Event]) -> Iterator[Event]:
    for event in events:
        yield event
        if isinstance(event, StepFinished) and 2 * event.step >= event.total_steps:
            return


if __name__ == "__main__":
    run = Path(sys.argv[1])
    take_progress(list(read_events(run / "events.jsonl")), HERE / "progress.svg", title="lorasdk demo")
    for recipe, picture in {"wordnet-kinds": "preview", "zh-terms": "preview-zh"}.items():
        take_preview(HERE.parents[1] / "recipes" / f"{recipe}.yaml", HERE / f"{picture}.svg")
