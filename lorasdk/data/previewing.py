"""Shows rows as runs of tokens that are trained on or not."""

from __future__ import annotations

from itertools import pairwise

from lorasdk.data.encoding import Encoder, TokenRow
from lorasdk.data.prepare import PreparedSplit
from lorasdk.results import PreviewRow, Span


def preview_rows(split: PreparedSplit, encoder: Encoder, count: int) -> list[PreviewRow]:
    """The first `count` rows of a split."""
    return [PreviewRow(split.split, row.row, _spans(row, encoder)) for row in split.rows[:count]]


def _spans(row: TokenRow, encoder: Encoder) -> tuple[Span, ...]:
    edges = sorted({0, len(row.ids), *(edge for span in row.spans for edge in span)})
    starts = {start for start, _ in row.spans}
    return tuple(
        Span(encoder.tokenizer.decode(row.ids[start:end]), end - start, supervised=start in starts)
        for start, end in pairwise(edges)
    )
