"""A sheet for the pictures of the documentation: boxes, words and arrows, as SVG.

The paper is part of a picture, so that it can be read on light and on dark pages alike. Nothing in it depends on the
machine: the same calls give the same bytes.
"""

from html import escape
from pathlib import Path

INK, FAINT, PAPER, LINE = "#1f2430", "#667085", "#ffffff", "#98a2b3"
BLUE, GREEN, RED, GREY = "#e0e7ff", "#dcfce7", "#fee2e2", "#f2f4f7"
DEEP = {BLUE: "#3f51b5", GREEN: "#15803d", RED: "#b42318", GREY: "#667085", PAPER: "#98a2b3"}
"""The colour of the frame around each kind of box."""
FONT = "ui-sans-serif, system-ui, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', sans-serif"
MONO = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Noto Sans CJK SC', monospace"


class Drawing:
    """Collects shapes; the first ones lie below."""

    def __init__(self, width: float, height: float, *, title: str) -> None:
        self._width, self._height, self._title = width, height, title
        self._shapes: list[str] = []

    def rect(
        self, x: float, y: float, width: float, height: float, *, fill: str, stroke: str = "none", round_: float = 0
    ) -> None:
        self._shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{round_:g}" fill="{fill}"'
            f' stroke="{stroke}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 13,
        fill: str = INK,
        anchor: str = "start",
        weight: int = 400,
        font: str = FONT,
    ) -> None:
        self._shapes.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" font-weight="{weight}" font-family="{escape(font)}"'
            f' fill="{fill}" text-anchor="{anchor}" xml:space="preserve">{escape(words)}</text>'
        )

    def upright(self, x: float, y: float, words: str, *, size: float = 13) -> None:
        """Text that runs upwards from its foot."""
        self._shapes.append(
            f'<text transform="translate({x:g} {y:g}) rotate(-90)" font-size="{size:g}" fill="{INK}"'
            f' font-family="{escape(MONO)}">{escape(words)}</text>'
        )

    def box(
        self, x: float, y: float, width: float, height: float, *lines: str, fill: str = GREY, size: float = 13
    ) -> None:
        """A frame with centred lines, the first one bold."""
        self.rect(x, y, width, height, fill=fill, stroke=DEEP[fill], round_=6)
        first = y + height / 2 - (len(lines) - 1) * size * 0.65 + size * 0.35
        for number, line in enumerate(lines):
            self.text(
                x + width / 2,
                first + number * size * 1.3,
                line,
                size=size if number == 0 else size - 1,
                fill=INK if number == 0 else FAINT,
                anchor="middle",
                weight=600 if number == 0 else 400,
            )

    def area(self, points: list[tuple[float, float]], *, fill: str) -> None:
        corners = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._shapes.append(f'<polygon points="{corners}" fill="{fill}"/>')

    def line(self, points: list[tuple[float, float]], *, stroke: str = LINE, width: float = 1.4) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._shapes.append(f'<polyline points="{path}" fill="none" stroke="{stroke}" stroke-width="{width:g}"/>')

    def arrow(self, points: list[tuple[float, float]], *, stroke: str = FAINT) -> None:
        """A line with a head at its last point; the last piece is horizontal or vertical."""
        self.line(points, stroke=stroke)
        (x0, y0), (x, y) = points[-2:]
        dx, dy = (x > x0) - (x < x0), (y > y0) - (y < y0)
        left, right = (x - 8 * dx - 4 * dy, y - 8 * dy - 4 * dx), (x - 8 * dx + 4 * dy, y - 8 * dy + 4 * dx)
        self._shapes.append(
            f'<path d="M{x:g} {y:g}L{left[0]:g} {left[1]:g}L{right[0]:g} {right[1]:g}Z" fill="{stroke}"/>'
        )

    def svg(self) -> str:
        size = f'width="{self._width:g}" height="{self._height:g}" viewBox="0 0 {self._width:g} {self._height:g}"'
        paper = f'<rect width="{self._width:g}" height="{self._height:g}" rx="8" fill="{PAPER}"/>'
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(self._title)}</title>\n{paper}'
        )
        return "\n".join([head, *self._shapes, "</svg>\n"])

    def save(self, path: Path) -> None:
        path.write_text(self.svg(), "utf-8")
