"""Proves the loss mask of every row before the first step, and says which rows fail.

The checks look at the finished tokens, not at how they came about, so that a fault in the encoding is caught too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lorasdk.contracts import Example
from lorasdk.data.encoding import Encoder, TokenRow
from lorasdk.errors import DataError, Problem

LISTED_ROWS = 10


@dataclass(frozen=True, slots=True)
class _Subject:
    """One row with what is needed to judge it."""

    encoder: Encoder
    example: Example
    row: TokenRow
    truncated: bool
    train_on: str


@dataclass(frozen=True, slots=True)
class _Check:
    code: str
    claim: str
    fix: str
    holds: Callable[[_Subject], bool]


def prove_masks(
    encoder: Encoder,
    examples: Sequence[Example],
    rows: Sequence[TokenRow],
    *,
    truncated: frozenset[int],
    train_on: str,
    origin: str,
) -> None:
    """Check every row against all claims.

    Args:
        encoder: what infer will use to send prompts.
        examples: what the rows were made from.
        rows: one per example, in the same order.
        truncated: row numbers whose end was cut off on purpose; they need not end their turn.
        train_on: ``all_turns`` or ``last_turn``.
        origin: name of the source, for messages.

    Raises:
        DataError: one problem per failed claim, each listing the first rows it fails for.
    """
    proof = MaskProof(encoder, train_on=train_on, origin=origin)
    for example, row in zip(examples, rows, strict=True):
        proof.check(example, row, truncated=row.row in truncated)
    proof.settle()


class MaskProof:
    """Checks rows one by one and remembers only those that fail."""

    def __init__(self, encoder: Encoder, *, train_on: str, origin: str) -> None:
        self._encoder, self._train_on, self._origin = encoder, train_on, origin
        self._failed: dict[_Check, list[int]] = {check: [] for check in _CHECKS}

    def check(self, example: Example, row: TokenRow, *, truncated: bool) -> None:
        """Check one row against all claims."""
        subject = _Subject(self._encoder, example, row, truncated, self._train_on)
        for check, numbers in self._failed.items():
            if not check.holds(subject):
                numbers.append(row.row)

    def settle(self) -> None:
        """Raise what failed.

        Raises:
            DataError: one problem per failed claim, each listing the first rows it fails for.
        """
        problems = [_problem(check, numbers, self._origin) for check, numbers in self._failed.items() if numbers]
        if problems:
            raise DataError(*problems)


def _problem(check: _Check, failed: list[int], origin: str) -> Problem:
    shown = ", ".join(map(str, failed[:LISTED_ROWS])) + (", …" if len(failed) > LISTED_ROWS else "")
    return Problem(
        code=check.code,
        message=f"{len(failed)} row(s) break the rule: {check.claim}",
        place=f"{origin} row {failed[0]}",
        found=f"rows {shown}",
        fix=check.fix,
    )


def _one_beginning(subject: _Subject) -> bool:
    # Some models use the same token to begin a text and to begin each turn; only a doubled beginning is a fault.
    bos = subject.encoder.tokenizer.bos_token_id
    return bos is None or subject.row.ids[:2] != (bos, bos)


def _turn_ends(subject: _Subject) -> bool:
    if subject.example.text is not None:
        return True
    row = subject.row
    spans = row.spans[:-1] if subject.truncated else row.spans
    return all(row.ids[end - 1] == subject.encoder.end_of_turn for _, end in spans)


def _something_to_learn(subject: _Subject) -> bool:
    return any(end > start for start, end in subject.row.spans)


def _control_tokens_are_text(subject: _Subject) -> bool:
    """Control tokens of the row are those the template writes: as many as when the content has none of its own."""
    encoder, example = subject.encoder, subject.example
    contents = [m.content for m in example.messages] + ([example.text] if example.text else [])
    if subject.truncated or not any(encoder.renderer.shield.special.search(text) for text in contents):
        return True
    special = set(encoder.tokenizer.all_special_ids) | {encoder.end_of_turn}
    stripped = encoder.encode_example(_without_control_tokens(encoder, example), train_on="last_turn", origin="")
    count, expected = (Counter(i for i in row.ids if i in special) for row in (subject.row, stripped))
    return count == expected


def _without_control_tokens(encoder: Encoder, example: Example) -> Example:
    def clean(text: str) -> str:
        return encoder.renderer.shield.special.sub("x", text)

    messages = tuple(replace(message, content=clean(message.content)) for message in example.messages)
    return replace(example, messages=messages, text=None if example.text is None else clean(example.text))


def _prompts_agree(subject: _Subject) -> bool:
    """Every trained answer is preceded, token for token, by the prompt that infer sends for it."""
    encoder, example, row = subject.encoder, subject.example, subject.row
    turns = [i for i, message in enumerate(example.messages) if message.role == "assistant"]
    turns = turns if subject.train_on == "all_turns" else turns[-1:]
    return all(
        list(row.ids[:start]) == encoder.encode_prompt(example.messages[:turn], tools=example.tools)
        for turn, (start, _) in zip(turns, row.spans, strict=False)
    )


_CHECKS = (
    _Check(
        "mask.several-beginnings",
        "a row begins with one begin-of-text token at most",
        "remove the begin-of-text token from the chat template or from the tokenizer's post-processor",
        _one_beginning,
    ),
    _Check(
        "mask.turn-does-not-end",
        "the last trained token of an answer ends the turn",
        "use a chat template that ends each assistant turn",
        _turn_ends,
    ),
    _Check(
        "mask.nothing-supervised",
        "at least one token of a row is trained on",
        "raise data.max_tokens, or set data.too_long: drop",
        _something_to_learn,
    ),
    _Check(
        "mask.control-token-in-content",
        "control tokens inside the rows' text are encoded as text",
        "report the tokenizer; until then remove the control tokens from the rows",
        _control_tokens_are_text,
    ),
    _Check(
        "mask.prompt-differs",
        "an answer is trained after exactly the prompt that infer sends",
        "name another chat template in base_model.chat_template",
        _prompts_agree,
    ),
)
