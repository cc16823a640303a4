"""The same facts for terminals and pull requests."""

import re
from pathlib import Path

from sample_report import sample_report

from lorasdk.eval_report import AnswerPair, EvalReport, Score
from lorasdk.report.collecting import collect_facts
from lorasdk.report.document import ReportDocument
from lorasdk.report.facts import RunFacts
from lorasdk.report.plain_text import fence, markdown
from lorasdk.report.writing import markdown_text


def test_it_says_what_the_page_says(run_dir: Path):
    report = sample_report()
    said = markdown_text(ReportDocument(report, collect_facts(run_dir)))
    assert said.startswith("# wordnet-kinds: did it get better?\n\n**The tuned model is better:** it gets ")
    assert f"| exact_match, tuned | {100 * report.scores[0].tuned:.1f}% |" in said
    for heading in (
        "By evaluator",
        "Baselines",
        "By class",
        "Answers, flipped rows first",
        "What was forgotten",
        "Data",
        "Recipe",
    ):
        assert f"\n\n## {heading}" in said, heading
    assert "\n\n\n" not in said


def test_tables_have_as_many_cells_as_their_head(run_dir: Path):
    hostile = "a | b\n\n| c `| d` <b> @someone [x](y) \\|"
    pairs = (AnswerPair(1, "q", hostile, hostile, hostile * 2),)
    report = EvalReport(1, (Score(hostile, 0, 1, (0.0,), (1.0,)),), 1, answers=pairs)
    said = markdown_text(ReportDocument(report, RunFacts()))
    for table in re.findall(r"(?:^\|.*\n)+", said, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table
    assert "@" not in said


def test_text_is_no_markup_and_stays_readable():
    assert markdown("token_f1 is 3*2\n<b>@you</b>") == "token_f1 is 3\\*2 \\<b\\>&#64;you\\</b\\>"
    assert markdown("a_b _c_ \u202eevil") == "a_b \\_c\\_ ⟨U+202E⟩evil"


def test_a_fence_is_longer_than_any_in_the_text():
    assert fence("no") == "```"
    assert fence("````x```") == "`````"
