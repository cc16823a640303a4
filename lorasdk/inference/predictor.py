"""Answers prompts with one loaded model: batched for lists, piece by piece for streams, safe to share by threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorasdk.basemodel.unwrapping import unwrapped
from lorasdk.contracts import Message
from lorasdk.data.encoding import Encoder
from lorasdk.errors import InferenceError, Problem
from lorasdk.events import Emit, Notice, PredictionProgress
from lorasdk.inference.adapter_state import state_of
from lorasdk.inference.answers import Answer
from lorasdk.inference.batching import Batching
from lorasdk.inference.decoding import Batch, Request
from lorasdk.inference.reading import Reader
from lorasdk.inference.scoring import Scoring, answer_rows
from lorasdk.inference.text import Transcript
from lorasdk.recipe.schema import GenerationSection
from lorasdk.refusals import no_longer_wanted
from lorasdk.results import AnswerScore, Completion
from lorasdk.stopping import StopToken

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def _silent(_event: object) -> None:
    """Announce nothing."""


@dataclass(frozen=True)
class Predictor:
    """A model with its tokenizer and settings; `lorasdk.contracts.Predictor` for evaluators."""

    model: PreTrainedModel | PeftModel
    """In evaluation mode."""
    encoder: Encoder
    """Makes the prompts, as in training."""
    settings: GenerationSection
    """How to generate."""
    lock: threading.Lock
    """Held while the model computes: one model, one computation."""
    adapter: bool = True
    """Whether an adapter on the model takes part."""
    label: str = ""
    """For `PredictionProgress`."""
    emit: Emit = field(default=_silent)
    """Hears `PredictionProgress`."""
    stop: StopToken = field(default_factory=StopToken)
    """Looked at between tokens and between passes; once thrown, the call raises."""
    _scoring: list[Scoring] = field(default_factory=list, init=False, repr=False, compare=False)
    """How answers are scored, once that was tried out."""

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer each conversation, in order.

        Prompts of like length are answered together, and what many of them begin with is read once. The answer to a
        prompt does not depend on its neighbours, but for the rounding of the model's type.

        Raises:
            InferenceError: a prompt is longer than the model's context.
        """
        answers = self.open_answers(prompts)
        self.finish(answers)
        return [answer.completion() for answer in answers]

    def open_answers(self, prompts: Sequence[Sequence[Message]]) -> list[Answer]:
        """Answers of which nothing is there yet but the prompts' tokens.

        Raises:
            DataError: the chat template refuses a conversation.
            InferenceError: a prompt is longer than the model's context.
        """
        encoder, settings = self.encoder, self.settings
        requests = [self._request(prompt, i, self._context) for i, prompt in enumerate(prompts)]
        return [Answer(r, Transcript(encoder.tokenizer, settings.stop), encoder.stop_ids) for r in requests]

    def finish(self, answers: Sequence[Answer]) -> None:
        """Add to answers, batch by batch, until all are finished."""
        if not answers:
            return
        batching = Batching(Reader(self._base), [answer.request for answer in answers], self.settings)
        with self.lock:
            # Another call's state would be mistaken for the model's own.
            state = state_of(self.model, adapter=self.adapter)
        done = 0
        for rows in batching.rows():
            with self.lock, state():
                self._answer(batching.batch(rows), [answers[row] for row in rows])
            done += len(rows)
            self.emit(PredictionProgress(done, len(answers), self.label))

    def log_probabilities(self, prompts: Sequence[Sequence[Message]], answers: Sequence[str]) -> list[AnswerScore]:
        """How likely the model finds each answer after the prompt of the same place, in order.

        What prompts have in common is computed once per forward pass, also where a prompt stands there for several
        answers.

        Raises:
            DataError: the chat template refuses a conversation.
            InferenceError: a prompt with its answer is longer than the model's context.
        """
        rows = answer_rows(self.encoder, prompts, answers, context=self._context)
        scoring = self.scoring()
        found: dict[int, AnswerScore] = {}
        for part in scoring.parts(rows):
            self.check_stop()
            with self.lock:
                found.update(scoring.scores(part))
            self.emit(PredictionProgress(len(found), len(rows), self.label))
        return [found[row.row] for row in rows]

    def stream(self, prompt: Sequence[Message]) -> Iterator[str]:
        """Yield the answer in pieces; closing the iterator ends the work."""
        (answer,) = self.open_answers([prompt])
        batch = Batch(Reader(self._base), [answer.request], self.settings, beginnings=[None])
        with self.lock, state_of(self.model, adapter=self.adapter)():
            while not answer.finished:
                self.check_stop()
                answer.add(batch.step()[0])
                piece = answer.transcript.news(final=False)
                if piece:
                    yield piece
        rest = answer.transcript.news(final=True)
        if rest:
            yield rest

    def scoring(self) -> Scoring:
        """How this model scores answers; tried out at the first call, and announced where that is slow."""
        with self.lock:
            if self._scoring:
                return self._scoring[0]
            scoring = Scoring.of(self.model, adapter=self.adapter)
            self._scoring.append(scoring)
        if scoring.why_padded:
            self.emit(Notice("inference.padded", f"answers are scored in padded rows: {scoring.why_padded}"))
        return scoring

    def check_stop(self) -> None:
        """Leave work that is no longer wanted.

        Raises:
            InferenceError: the token was thrown.
        """
        if self.stop.stopped:
            raise InferenceError(no_longer_wanted())

    def _answer(self, batch: Batch, answers: Sequence[Answer]) -> None:
        """Add to answers until all are finished; those that are leave the batch."""
        waiting = list(answers)
        while waiting:
            self.check_stop()
            for answer, token in zip(waiting, batch.step(), strict=True):
                answer.add(token)
            staying = [row for row, answer in enumerate(waiting) if not answer.finished]
            if staying and len(staying) < len(waiting):
                batch.keep(staying)
            waiting = [waiting[row] for row in staying]

    @property
    def _base(self) -> PreTrainedModel:
        return unwrapped(self.model)

    @property
    def _context(self) -> int | None:
        """Tokens that the model can see, where it has a limit."""
        context: int | None = self._base.config.get_text_config().to_dict().get("max_position_embeddings")
        return context

    def _request(self, prompt: Sequence[Message], index: int, context: int | None) -> Request:
        ids = self.encoder.encode_prompt(prompt)
        if context is not None and len(ids) >= context:
            raise InferenceError(
                Problem(
                    code="inference.prompt-too-long",
                    message=f"the prompt has {len(ids)} tokens, the model's context {context}: no room for an answer",
                    place=f"prompt {index + 1}",
                    found=f"{len(ids)} tokens",
                    allowed=f"at most {context - 1} tokens",
                    fix="shorten the prompt",
                )
            )
        room = self.settings.max_new_tokens if context is None else context - len(ids)
        return Request(tuple(ids), self.settings.seed + index, min(self.settings.max_new_tokens, room))
