"""Turns conversations into token rows with a loss mask, by rendering growing prefixes with the chat template.

For each assistant turn the conversation is rendered twice: up to the turn with the generation prompt, and with the
turn. The difference is the answer. Prompt and answer are tokenised apart, since that is how a model meets them: the
prompt is given, the answer is produced token by token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from lorasdk.contracts import Example, Message
from lorasdk.data.rendering import Renderer, RowFaultError, Tools
from lorasdk.data.shield import MARK
from lorasdk.data.template import ChatTemplate
from lorasdk.errors import DataError, Problem

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

REMEMBERED_TEXTS = 256
"""A row's prompt is encoded for the row and for its proof, and labels and shared turns come again and again."""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One row as the model sees it."""

    row: int
    """Row number in its source, from 1."""
    ids: tuple[int, ...]
    """Token ids, at least one."""
    spans: tuple[tuple[int, int], ...]
    """Half-open ranges of `ids` that the loss is taken on, in order, not overlapping."""

    @property
    def supervised_tokens(self) -> int:
        """Tokens that the loss is taken on."""
        return sum(end - start for start, end in self.spans)


@dataclass(frozen=True)
class Encoder:
    """A tokenizer with its chat template: the one place where conversations become tokens.

    Training and inference share it, so that the prompt a model is trained on is the prompt it is asked.
    """

    tokenizer: PreTrainedTokenizerBase
    renderer: Renderer
    end_of_turn: int
    """The token that ends an assistant turn."""
    anchor: tuple[int, ...]
    """Tokens of a newline put before a continuation, for tokenizers that treat the start of a text specially."""
    encode: Callable[[str], tuple[int, ...]]
    """Tokens of a text without control tokens around it; texts that were just encoded are remembered."""

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, template: ChatTemplate) -> Encoder:
        """Probe tokenizer and template once.

        Raises:
            DataError: the template cannot be rendered, or does not end an assistant turn with a control token.
        """
        try:
            renderer = Renderer.of(tokenizer, template)
        except RowFaultError as fault:
            raise DataError(replace(fault.problem, field="base_model.chat_template")) from fault
        return cls(tokenizer, renderer, _find_end_of_turn(renderer), _anchor(tokenizer), _remembering(tokenizer))

    @property
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        eos = self.tokenizer.eos_token_id
        return frozenset({self.end_of_turn} if eos is None else {self.end_of_turn, eos})

    def encode_prompt(self, messages: Sequence[Message], *, tools: Tools = ()) -> list[int]:
        """Tokens that a model is given to answer `messages`, the generation prompt included.

        Raises:
            DataError: the template refuses the conversation.
        """
        try:
            return self._prompt(tuple(messages), tools)[0]
        except RowFaultError as fault:
            raise DataError(fault.problem) from fault

    def encode_text(self, text: str) -> list[int]:
        """Tokens of a text that a model is to go on with, control tokens in it taken as such."""
        return list(self.tokenizer(text).input_ids)

    def encode_example(self, example: Example, *, train_on: Literal["all_turns", "last_turn"], origin: str) -> TokenRow:
        """Tokens of a training example and the ranges its loss is taken on.

        Args:
            example: a conversation or plain text.
            train_on: all assistant turns, or only the last.
            origin: name of the source, for messages.

        Raises:
            DataError: the template refuses the conversation, or rewrites an earlier turn when a later one is added.
        """
        try:
            if example.text is not None:
                return self._text_row(example.row, example.text)
            return self._conversation_row(example, train_on)
        except RowFaultError as fault:
            raise DataError(replace(fault.problem, place=f"{origin} row {example.row}")) from fault

    def _conversation_row(self, example: Example, train_on: str) -> TokenRow:
        turns = [i for i, message in enumerate(example.messages) if message.role == "assistant"]
        ids: list[int] = []
        spans: list[tuple[int, int]] = []
        done = ""
        for turn in turns if train_on == "all_turns" else turns[-1:]:
            if train_on == "last_turn":
                ids, prompt = self._prompt(example.messages[:turn], example.tools)
            else:
                prompt = self.renderer.render(example.messages[:turn], example.tools, generate=True)
                ids += self._extend(done, prompt)
            done = self.renderer.render(example.messages[: turn + 1], example.tools, generate=False)
            answer = self._extend(prompt, done)
            spans.append((len(ids), len(ids) + self._trained_length(answer)))
            ids += answer
        return TokenRow(example.row, tuple(ids), tuple(spans))

    def _trained_length(self, answer: list[int]) -> int:
        """Tokens up to the one that ends the turn; white space that the template writes after it is not trained."""
        if self.end_of_turn not in answer:
            raise RowFaultError(
                "mask.no-end-of-turn",
                f"the rendered answer lacks {self.tokenizer.decode([self.end_of_turn])!r}, which ends a turn",
                "use a chat template that ends each assistant turn",
            )
        return len(answer) - answer[::-1].index(self.end_of_turn)

    def _text_row(self, row: int, text: str) -> TokenRow:
        eos, bos = self.tokenizer.eos_token_id, self.tokenizer.bos_token_id
        start = [bos] if bos is not None and self.tokenizer("").input_ids[:1] == [bos] else []
        body = self._tokens(str(self.renderer.shield.mark(text, "user")), begins=True)
        ids = [*start, *body, *([] if eos is None else [eos])]
        # The first token of all has nothing before it to be predicted from.
        return TokenRow(row, tuple(ids), ((1, len(ids)),) if len(ids) > 1 else ())

    def _prompt(self, messages: tuple[Message, ...], tools: Tools) -> tuple[list[int], str]:
        """Tokens and text of a prompt, cut at the ends of earlier answers if the template keeps them as they were."""
        whole = self.renderer.render(messages, tools, generate=True)
        ids: list[int] = []
        done = ""
        for turn in [i for i, message in enumerate(messages) if message.role == "assistant"]:
            before = self.renderer.render(messages[:turn], tools, generate=True)
            after = self.renderer.render(messages[: turn + 1], tools, generate=False)
            if not (before.startswith(done) and after.startswith(before) and whole.startswith(after)):
                return self._tokens(whole, begins=True), whole
            ids += self._extend(done, before) + self._extend(before, after)
            done = after
        return ids + self._extend(done, whole), whole

    def _extend(self, done: str, text: str) -> list[int]:
        """Tokens by which `text` goes on from `done`."""
        if not text.startswith(done):
            at = next((i for i, (a, b) in enumerate(zip(done, text, strict=False)) if a != b), len(text))
            raise RowFaultError(
                "mask.template-rewrites",
                "the chat template rewrites an earlier turn when a later one is added: no mask over all turns exists",
                "set data.train_on: last_turn, or use a chat template that only appends",
                f"…{done[max(0, at - 20) : at + 20]!r} became …{text[max(0, at - 20) : at + 20]!r}",
            )
        rest = text[len(done) :]
        return self._tokens(rest, begins=not done)

    def _tokens(self, text: str, *, begins: bool) -> list[int]:
        """Tokens of rendered text, cut wherever `Shield` marked a control token."""
        first, *rest = text.split(MARK)
        ids = self._encode(first) if begins else self._continue(first)
        for piece in rest:
            ids += self._continue(piece)
        return ids

    def _continue(self, text: str) -> list[int]:
        if not text:
            return []
        ids = self._encode("\n" + text) if self.anchor else []
        if ids[: len(self.anchor)] == list(self.anchor) and self.anchor:
            return ids[len(self.anchor) :]
        return self._encode(text)

    def _encode(self, text: str) -> list[int]:
        return list(self.encode(text))


def _remembering(tokenizer: PreTrainedTokenizerBase) -> Callable[[str], tuple[int, ...]]:
    """Encode each text once, however many steps of a row's making and of its proof ask for it.

    One after the other, because what encodes many texts at once starts threads that stay in the host's process.
    """
    backend = tokenizer.backend_tokenizer

    @lru_cache(maxsize=REMEMBERED_TEXTS)
    def encode(text: str) -> tuple[int, ...]:
        return tuple(backend.encode(text, add_special_tokens=False).ids)

    return encode


def _anchor(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Newline tokens where a text's start is encoded unlike its middle (SentencePiece adds a space), else nothing."""
    encode = tokenizer.backend_tokenizer.encode
    newline = encode("\n", add_special_tokens=False).ids
    inside = encode("\nword", add_special_tokens=False).ids[len(newline) :]
    return tuple(newline) if inside != encode("word", add_special_tokens=False).ids else ()


def _find_end_of_turn(renderer: Renderer) -> int:
    """The control token after an answer, found by rendering one."""
    question, answer = Message("user", "a"), Message("assistant", "b")
    try:
        prompt = renderer.render([question], (), generate=True)
        turn = renderer.render([question, answer], (), generate=False).removeprefix(prompt)
    except RowFaultError as fault:
        raise DataError(replace(fault.problem, field="base_model.chat_template")) from fault
    tokenizer = renderer.tokenizer
    ids = tokenizer.backend_tokenizer.encode(turn, add_special_tokens=False).ids
    last = next((i for i in reversed(ids) if tokenizer.decode([i]).strip()), None)
    control = set(tokenizer.all_special_ids) | {i for i, t in tokenizer.added_tokens_decoder.items() if t.special}
    if last is not None and last in control:
        return int(last)
    raise DataError(
        Problem(
            code="template.no-end-of-turn",
            message=f"the chat template ({renderer.template.origin}) does not end an answer with a control token",
            field="base_model.chat_template",
            found=repr(turn),
            allowed="a template whose assistant turn ends with a special token, such as the end-of-text token",
            fix="name another template in base_model.chat_template: alpaca, chatml, none, or a .jinja file",
        )
    )
