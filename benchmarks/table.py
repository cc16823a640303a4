"""Tables and a chart out of results; the page in the documentation holds them between marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from benchmarks.field import CONTESTANTS
from benchmarks.measuring import Ratio, Run, ratio_to_ours
from benchmarks.results import WorkloadResult

HEAD = (
    "| | rows/s | tokens/s | ours is faster by | peak memory | of ours | first step | held-out loss |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|\n"
)
GIGA = 1e9


def fill(page: str, results: Sequence[WorkloadResult]) -> str:
    """The page with the table of each result between its marks."""
    for result in results:
        marks = re.compile(rf"(<!-- table: {re.escape(result.name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        rows = table(result)
        page = marks.sub(lambda match, rows=rows: f"{match[1]}{rows}{match[2]}", page)
    return page


def table(result: WorkloadResult) -> str:
    """One line per contestant, ours first, then the fastest first."""
    took_part = [name for name in CONTESTANTS if result.of(name)]
    ordered = sorted(took_part, key=lambda name: (name != "ours", -_median(result, name, lambda r: r.rows_per_second)))
    lines = [_line(result, name) for name in ordered]
    lines += [f"| {CONTESTANTS[name].title} | skipped | | | | | | |" for name in CONTESTANTS if result.failure(name)]
    rounds = len(result.of("ours"))
    said = f"Medians of {rounds} rounds." if rounds > 1 else "One round, so without a spread."
    return f"{said}\n\n" + HEAD + "\n".join(lines) + "\n"


def _line(result: WorkloadResult, name: str) -> str:
    speed = _median(result, name, lambda run: run.rows_per_second)
    memory = _median(result, name, _memory)
    first = _median(result, name, lambda run: run.report.seconds_to_first_step if run.report else 0.0)
    ours = name == "ours"
    faster = "1" if ours else _spread(ratio_to_ours(result.runs, name, _seconds_per_row))
    more = "1" if ours else _spread(ratio_to_ours(result.runs, name, _memory))
    loss = f"{result.losses[name]:.3f}" if name in result.losses else "–"
    title = f"**{CONTESTANTS[name].title}**" if ours else CONTESTANTS[name].title
    numbers = f"{speed:.1f} | {speed * result.tokens_per_row:,.0f} | {faster} | {memory / GIGA:.1f} GB | {more}"
    return f"| {title} | {numbers} | {first:.0f} s | {loss} |"


def _median(result: WorkloadResult, name: str, number: Callable[[Run], float]) -> float:
    return median(number(run) for run in result.of(name))


def _memory(run: Run) -> float:
    return float(run.report.peak_resident_bytes) if run.report else 0.0


def _seconds_per_row(run: Run) -> float:
    return 1 / run.rows_per_second


def _spread(ratio: Ratio) -> str:
    return f"{ratio.median:.1f}× ({ratio.low:.1f}–{ratio.high:.1f})"


def draw(results: Sequence[WorkloadResult], path: Path) -> None:
    """Bars: how many times as many rows a second, ours = 1; one name stands for the bars of all results."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "lorasdk"
    from matplotlib import pyplot as plt

    names = [name for name in CONTESTANTS if any(result.of(name) for result in results)]
    size = (3.2 + 2.6 * len(results), 0.9 + 0.36 * len(names))
    figure, axes = plt.subplots(1, len(results), figsize=size, layout="constrained", sharey=True, squeeze=False)
    for axis, result in zip(axes[0], results, strict=True):
        ratios = [_rows_of_ours(result, name) for name in names]
        bars = axis.barh(
            [CONTESTANTS[name].title for name in names],
            ratios,
            color=["#3f51b5" if name == "ours" else "#9e9e9e" for name in names],
        )
        axis.bar_label(bars, [f"{ratio:.2f}" if ratio else "" for ratio in ratios], padding=3, fontsize=9)
        axis.set_title(result.title.replace(", ", "\n", 1), fontsize=10)
        axis.set_xlim(0, 1.25)
        axis.set_xticks([])
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        axis.tick_params(labelsize=10)
    axes[0][0].invert_yaxis()
    figure.supxlabel("rows a second, lorasdk = 1", fontsize=10)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _rows_of_ours(result: WorkloadResult, name: str) -> float:
    if name == "ours" or not result.of(name):
        return float(name == "ours")
    return ratio_to_ours(result.runs, name, lambda run: run.rows_per_second).median
