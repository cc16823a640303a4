"""Draws a run's course: losses, learning rate, speed; and the losses of several runs over each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import TYPE_CHECKING

from lorasdk.report.facts import RunFacts
from lorasdk.report.figures import count, number
from lorasdk.report.svg_text import FAINT, INK, inline_svg, series_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 300
"""Points of a line; where there are more steps, each point is the mean of several."""
SERIES = 6
"""Colours; further lines use them again, dashed."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot."""

    points: Sequence[tuple[int, float]]
    """Step and value."""
    series: int = 1
    """Which of the page's colours, from 1."""
    marked: bool = False
    """Whether each point is marked, because they are few."""

    @property
    def colour(self) -> str:
        """Its stand-in colour."""
        return series_colour((self.series - 1) % SERIES + 1)

    @property
    def style(self) -> str:
        """Solid, until the colours are used up."""
        return "-" if self.series <= SERIES else "--"


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure with its caption."""

    name: str
    caption: str
    svg: str
    legend: tuple[tuple[int, str], ...] = ()
    """Colour and what it stands for, where there are several lines."""


def run_plots(run: RunFacts) -> tuple[Plot, ...]:
    """Loss, learning rate and speed over steps; empty when the course is not known."""
    if not run.steps:
        return ()
    validation = [(each.step, each.metrics["loss"]) for each in run.validations if "loss" in each.metrics]
    losses = [Line([(each.step, each.loss) for each in run.steps]), Line(validation, series=2, marked=True)]
    rates = Line([(each.step, each.learning_rate) for each in run.steps])
    speeds = Line([(each.step, each.tokens_per_second) for each in run.steps])
    plots = (
        lines_plot("loss", "Loss, nats per supervised token", losses, ((1, "training"), (2, "validation"))),
        lines_plot("rate", "Learning rate", [rates]),
        lines_plot("speed", "Tokens per second", [speeds]),
    )
    return tuple(plot for plot in plots if plot is not None)


def lines_plot(name: str, title: str, given: Sequence[Line], legend: tuple[tuple[int, str], ...] = ()) -> Plot | None:
    """Lines over optimizer steps; None when no point of them is a finite number."""
    lines = [each for each in map(_finite, given) if each.points]
    if not lines:
        return None
    width = max(_width(line.points) for line in lines)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for line in lines:
            _draw_line(axes, line)
        _quiet(axes)

    caption = title if width == 1 else f"{title}; each point is the mean of {width} steps"
    svg = inline_svg(draw, name=name, title=f"{title} over optimizer steps", description=_told(lines, legend))
    drawn = {line.series for line in lines}
    return Plot(name, caption, svg, tuple(each for each in legend if each[0] in drawn) if len(lines) > 1 else ())


def _draw_line(axes: Axes, line: Line) -> None:
    steps, values = zip(*thinned(line.points), strict=True)
    marker = "o" if line.marked or len(steps) == 1 else ""
    axes.plot(
        steps,
        values,
        line.style,
        color=line.colour,
        marker=marker,
        markersize=4,
        linewidth=1.4,
        solid_joinstyle="round",
    )


def thinned(points: Sequence[tuple[int, float]]) -> list[tuple[int, float]]:
    """At most `MOST_POINTS` points: the mean of as many neighbours as that needs, at the last of their steps."""
    width = _width(points)
    parts = [points[start : start + width] for start in range(0, len(points), width)]
    return [(part[-1][0], fmean(value for _, value in part)) for part in parts]


def _finite(line: Line) -> Line:
    """An infinite perplexity, say, has no place in a plot."""
    return replace(line, points=[(step, value) for step, value in line.points if math.isfinite(value)])


def _width(points: Sequence[tuple[int, float]]) -> int:
    return -(-len(points) // MOST_POINTS)


def _quiet(axes: Axes) -> None:
    """Nothing but the lines and what is needed to read them."""
    from matplotlib.ticker import MaxNLocator

    axes.patch.set_visible(False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(FAINT)
    axes.grid(visible=True, axis="y", color=FAINT, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, pad=5)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.yaxis.get_offset_text().set_color(INK)
    axes.margins(x=0.01, y=0.08)
    axes.set_xlabel("step", color=INK)


def _told(lines: Sequence[Line], legend: Sequence[tuple[int, str]]) -> str:
    """What a reader who does not see the figure wants to know."""
    names = dict(legend)
    return " ".join(
        f"{names.get(line.series, 'It')}: from {number(line.points[0][1])} at step {count(line.points[0][0])} "
        f"to {number(line.points[-1][1])} at step {count(line.points[-1][0])}{_falling(line)}."
        for line in lines
    )


def _falling(line: Line) -> str:
    values = [value for _, value in line.points]
    return ", never rising" if len(values) > 1 and all(after <= before for before, after in pairwise(values)) else ""
