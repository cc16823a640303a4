"""Answers prompts with one loaded model: batched for lists, piece by piece for streams, safe to share by threads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lorasdk.asking import Voice
from lorasdk.basemodel.unwrapping import unwrapped
from lorasdk.contracts import Message
from lorasdk.data.encoding import Encoder
from lorasdk.errors import InferenceError
from lorasdk.events import Emit, Notice, PredictionProgress
from lorasdk.inference.answers import Answer
from lorasdk.inference.batching import Batching
from lorasdk.inference.context import context_of, room_for
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
    lock: AbstractContextManager[object]
    """Held while the model computes: one model, one computation."""
    adapter: bool = True
    """Whether the adapter on the model takes part."""
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
        return self.complete_each(prompts, [self.adapter] * len(prompts))

    def complete_each(self, prompts: Sequence[Sequence[Message]], voices: Sequence[Voice]) -> list[Completion]:
        """Answer each conversation with the voice of the same place, all in the same batches.

        Raises:
            InferenceError: as `complete`; or the model or its adapter cannot answer beside others.
        """
        answers = self.open_answers(prompts, voices)
        self.finish(answers)
        return [answer.completion() for answer in answers]

    def open_answers(self, prompts: Sequence[Sequence[Message]], voices: Sequence[Voice] | None = None) -> list[Answer]:
        """Answers of which nothing is there yet but the prompts' tokens.

        Raises:
            DataError: the chat template refuses a conversation.
            InferenceError: a prompt is longer than the model's context.
        """
        encoder, settings = self.encoder, self.settings
        voices = [self.adapter] * len(prompts) if voices is None else voices
        requests = [self._request(*one, i) for i, one in enumerate(zip(prompts, voices, strict=True))]
        return [Answer(r, Transcript(encoder.tokenizer, settings.stop), encoder.stop_ids) for r in requests]

    def finish(self, answers: Sequence[Answer]) -> None:
        """Add to answers, batch by batch, until all are finished."""
        if not answers:
            return
        batching = Batching(Reader(self.model), [answer.request for answer in answers], self.settings.batch_size)
        done = 0
        for rows in batching.rows():
            with self.lock:
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

    def stream(self, prompt: Sequence[Message], voice: Voice | None = None) -> Iterator[str]:
        """Yield the answer in pieces; closing the iterator ends the work.

        Args:
            prompt: a conversation.
            voice: who answers, if not the predictor's own.
        """
        (answer,) = self.open_answers([prompt], None if voice is None else [voice])
        batch = Batch(Reader(self.model), [answer.request])
        while not answer.finished:
            self.check_stop()
            # For one token only: whoever reads the pieces may take their time.
            with self.lock:
                token = batch.step()[0]
            answer.add(token)
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
    def _context(self) -> int | None:
        return context_of(unwrapped(self.model))

    def _request(self, prompt: Sequence[Message], voice: Voice, index: int) -> Request:
        ids = self.encoder.encode_prompt(prompt)
        limit = room_for(ids, self.settings, self._context, place=f"prompt {index + 1}")
        return Request(tuple(ids), self.settings.seed + index, limit, self.settings, voice)
