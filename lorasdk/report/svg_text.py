"""Turns a figure into SVG that is part of a page: its colours are the page's, its text is text, its ids are its own."""

from __future__ import annotations

import io
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT = "#010203", "#010204"
COLOURS = {INK: "var(--muted)", FAINT: "var(--line)"}
"""Stand-ins that a figure is drawn with, and the page's own colours that take their places."""
WIDTH, HEIGHT = 5.0, 2.5
"""Inches of 72 units."""
_STYLE = Path(__file__).parent / "templates/plot.mplstyle"
_FOLDER = "MPLCONFIGDIR"
_NO_DATES = dict.fromkeys(("Creator", "Date", "Format", "Type"))
_DRAWING = threading.Lock()
"""Settings of matplotlib are one for the process; two reports must not put back each other's."""


def series_colour(number: int) -> str:
    """The stand-in of a series' colour, ``--series-1`` and so on."""
    return f"#0102{10 + number:02x}"


def inline_svg(draw: Callable[[Figure], None], *, name: str, title: str, description: str) -> str:
    """Draw a figure as an ``<svg>`` element.

    Args:
        draw: adds axes to an empty figure, in the stand-in colours.
        name: unique on the page; what ids begin with.
        title: for readers who do not see the figure.
        description: what there is to be seen in it.
    """
    with _own_settings():
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        figure.patch.set_visible(False)
        draw(figure)
        written = io.StringIO()
        FigureCanvasSVG(figure)  # without one, a figure would ask for the host's backend
        figure.savefig(written, format="svg", metadata=_NO_DATES)
    return _of_page(written.getvalue(), name, title, description)


@contextmanager
def _own_settings() -> Iterator[None]:
    """Matplotlib's defaults instead of the host's settings, which are back afterwards."""
    with _DRAWING, _same_environment():
        from matplotlib import style

        with style.context(["default", _STYLE]):
            yield


@contextmanager
def _same_environment() -> Iterator[None]:
    """Take away what matplotlib tells its children where nobody's home can be written to."""
    given = _FOLDER in os.environ
    try:
        yield
    finally:
        if not given:
            os.environ.pop(_FOLDER, None)


def _of_page(svg: str, name: str, title: str, description: str) -> str:
    body = svg[svg.index("<svg") :].strip()
    head, _, rest = body.partition(">")
    (box,) = re.findall(r'viewBox="([^"]*)"', head)
    rest = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", rest, flags=re.DOTALL)
    for stand_in, colour in _colours():
        rest = rest.replace(stand_in, colour)
    rest = re.sub(r"(font(?:-family)?): ?([^;\"]*?)'DejaVu Sans'[^;\"]*", _page_font, rest)
    rest = _own_ids(rest.replace("xlink:href", "href"), name)
    labels = f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    opening = f'<svg class="plot" viewBox="{box}" role="img" aria-labelledby="{name}-title {name}-desc">'
    return opening + labels + re.sub(r">\s+<", "><", rest).replace(" \n", " ")


def _colours() -> Sequence[tuple[str, str]]:
    series = [(series_colour(number), f"var(--series-{number})") for number in range(1, 7)]
    return [*COLOURS.items(), *series]


def _page_font(match: re.Match[str]) -> str:
    return f"{match[1]}: {match[2]}inherit" if match[1] == "font-family" else f"font-size: {match[2].strip()}"


def _own_ids(svg: str, name: str) -> str:
    """Keep the ids that something refers to, and make them unlike those of other figures."""
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]*)"', lambda match: f' id="{name}-{match[1]}"' if match[1] in used else "", svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{name}-", svg)
