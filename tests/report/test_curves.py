"""Curves: the page's colours, few points, no point that is no number, and nothing twice on a page."""

import math
import re

from lorasdk.report.curves import MOST_POINTS, Line, lines_plot, run_plots, thinned
from lorasdk.report.facts import RunFacts, StepFacts, ValidationFacts


def course(steps: int, loss=lambda step: 4 * 0.99**step) -> RunFacts:
    points = tuple(StepFacts(step, loss(step), 1e-4 * step, 1000.0 + step % 7) for step in range(1, steps + 1))
    return RunFacts(steps=points, validations=(ValidationFacts(steps, {"loss": 1.0, "perplexity": math.inf}),))


def test_colours_and_type_are_the_page_s():
    for plot in run_plots(course(20)):
        assert re.findall(r"#[0-9a-fA-F]{6}|#[0-9a-fA-F]{3}\b|DejaVu|fill: (?:white|black)", plot.svg) == []
        assert "var(--series-1)" in plot.svg
        assert "<text" in plot.svg
        assert "<?xml" not in plot.svg
        assert "<style" not in plot.svg
        assert "<metadata" not in plot.svg


def test_the_same_course_gives_the_same_bytes_and_small_ones():
    assert run_plots(course(50)) == run_plots(course(50))
    assert sum(len(plot.svg) for plot in run_plots(course(5000))) < 60_000


def test_ids_of_one_plot_are_not_those_of_another():
    ids = [id_ for plot in run_plots(course(20)) for id_ in re.findall(r' id="([^"]*)"', plot.svg)]
    assert sorted(ids) == sorted(set(ids))


def test_many_steps_become_means_and_the_caption_says_so():
    points = [(step, float(step)) for step in range(1, 1001)]
    few = thinned(points)
    assert (len(few), few[0], few[-1]) == (250, (4, 2.5), (1000, 998.5))
    assert len(thinned(points[:MOST_POINTS])) == MOST_POINTS
    assert run_plots(course(1000))[0].caption.endswith("; each point is the mean of 4 steps")
    assert run_plots(course(20))[0].caption == "Loss, nats per supervised token"


def test_what_is_no_finite_number_is_left_out():
    bad = run_plots(course(10, lambda step: math.nan if step > 5 else math.inf))
    assert [plot.name for plot in bad] == ["loss", "rate", "speed"]
    assert bad[0].legend == ()
    assert "nan" not in bad[0].svg.casefold()
    assert lines_plot("x", "Nothing", [Line([(1, math.nan)])]) is None


def test_one_step_is_a_point():
    assert "<use" in run_plots(course(1))[1].svg


def test_a_reader_who_sees_no_plot_is_told():
    plot = run_plots(course(20))[0]
    assert '<title id="loss-title">Loss, nats per supervised token over optimizer steps</title>' in plot.svg
    assert "training: from 3.96 at step 1 to 3.27 at step 20, never rising." in plot.svg
