"""Answers prompts with one loaded model: batched for lists, piece by piece for streams, safe to share by threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from peft import PeftModel

from lorasdk.contracts import Message
from lorasdk.data.encoding import Encoder
from lorasdk.errors import InferenceError, Problem
from lorasdk.events import Emit, PredictionProgress
from lorasdk.inference.decoding import Request, decode_batch
from lorasdk.inference.text import Transcript
from lorasdk.recipe.schema import GenerationSection
from lorasdk.results import Completion
from lorasdk.stopping import StopToken

if TYPE_CHECKING:
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
    """Looked at between tokens; once thrown, `complete` raises."""

    def complete(self, prompts: Sequence[Sequence[Message]]) -> list[Completion]:
        """Answer each conversation, in order.

        Prompts of like length are answered together; the answer to a prompt does not depend on its neighbours.

        Raises:
            InferenceError: a prompt is longer than the model's context.
        """
        requests = [self._request(prompt, i) for i, prompt in enumerate(prompts)]
        answers: dict[int, Completion] = {}
        order = sorted(range(len(requests)), key=lambda i: len(requests[i].ids))
        for start in range(0, len(order), self.settings.batch_size):
            chosen = order[start : start + self.settings.batch_size]
            answers.update(zip(chosen, self._answer([requests[i] for i in chosen]), strict=True))
            self.emit(PredictionProgress(len(answers), len(requests), self.label))
        return [answers[i] for i in range(len(requests))]

    def stream(self, prompt: Sequence[Message]) -> Iterator[str]:
        """Yield the answer in pieces; closing the iterator ends the work."""
        request = self._request(prompt, 0)
        transcript = Transcript(self.encoder.tokenizer, self.settings.stop)
        with self.lock, self._adapter_state():
            for (token,) in decode_batch(self._base, [request], self.settings, stop_ids=self.encoder.stop_ids):
                self._check_stop()
                if token is None or token in self.encoder.stop_ids:
                    break
                transcript.add(token)
                piece = transcript.news(final=False)
                if piece:
                    yield piece
                if transcript.ended:
                    break
        rest = transcript.news(final=True)
        if rest:
            yield rest

    def _answer(self, requests: Sequence[Request]) -> list[Completion]:
        transcripts = [Transcript(self.encoder.tokenizer, self.settings.stop) for _ in requests]
        produced = [0] * len(requests)
        finished = [False] * len(requests)
        with self.lock, self._adapter_state():
            for tokens in decode_batch(self._base, requests, self.settings, stop_ids=self.encoder.stop_ids):
                self._check_stop()
                for i, token in enumerate(tokens):
                    if token is None or finished[i]:
                        continue
                    produced[i] += 1
                    if token in self.encoder.stop_ids:
                        finished[i] = True
                    else:
                        transcripts[i].add(token)
                        finished[i] = transcripts[i].ended
                if all(finished):
                    break
        return [
            Completion(transcript.text, len(request.ids), count, "stop" if ended else "length")
            for transcript, request, count, ended in zip(transcripts, requests, produced, finished, strict=True)
        ]

    @property
    def _base(self) -> PreTrainedModel:
        # PEFT adapts in place: the model under the wrapper carries the adapter, and its forward has the true signature.
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    def _adapter_state(self) -> AbstractContextManager[object]:
        if isinstance(self.model, PeftModel) and not self.adapter:
            context: AbstractContextManager[object] = self.model.disable_adapter()
            return context
        return nullcontext()

    def _request(self, prompt: Sequence[Message], index: int) -> Request:
        ids = self.encoder.encode_prompt(prompt)
        context = self._base.config.get_text_config().to_dict().get("max_position_embeddings")
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

    def _check_stop(self) -> None:
        if self.stop.stopped:
            raise InferenceError(Problem("inference.stopped", "the answers were no longer wanted", fix="ask again"))
