"""Answers requests together as they arrive: each joins the rows that are being answered, and leaves when it is done.

One thread computes. It holds the model's lock for one token of all rows at a time, so that other callers of the model
come in between.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorasdk.asking import AdapterChoice, Ask, SchedulerLoad, Tell, Voice
from lorasdk.data.encoding import Encoder
from lorasdk.errors import InferenceError, LorasdkError
from lorasdk.inference.answers import Answer
from lorasdk.inference.context import context_of, room_for
from lorasdk.inference.decoding import Request
from lorasdk.inference.prompts import conversation
from lorasdk.inference.reading import Reader
from lorasdk.inference.running_rows import RunningRows, Token
from lorasdk.inference.text import Transcript
from lorasdk.inference.ticket import Ticket
from lorasdk.inference.token_texts import TokenTexts
from lorasdk.recipe.schema import GenerationSection
from lorasdk.refusals import answer_failed, no_longer_wanted, queue_full, scheduler_closed

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

PREFILL_TOKENS = 2048
"""Prompt tokens that are read between two tokens of the rows that run already, so that those do not stand still."""


@dataclass(frozen=True)
class Subject:
    """What a scheduler answers with."""

    model: PreTrainedModel | PeftModel
    """In evaluation mode."""
    encoder: Encoder
    """Makes prompts, as in training."""
    lock: AbstractContextManager[object]
    """Held while the model computes."""
    settings: Callable[[Ask], GenerationSection]
    """The settings of a request; raises for bad ones."""
    voice: Callable[[AdapterChoice], Voice]
    """Who a request means; raises for a name that stands for nothing."""


@dataclass
class _Counts:
    finished: int = 0
    cancelled: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class ContinuousScheduler:
    """`lorasdk.asking.Scheduler` over one model."""

    def __init__(self, subject: Subject, *, max_rows: int, max_waiting: int) -> None:
        """Start the thread, which ends with `close` or with the program.

        Args:
            subject: what answers.
            max_rows: requests that are answered together.
            max_waiting: requests in the queue; more are refused.
        """
        self.max_rows, self.max_waiting = max_rows, max_waiting
        self._encoder, self._lock = subject.encoder, subject.lock
        self._settings, self._voice = subject.settings, subject.voice
        self._texts = TokenTexts(subject.encoder.tokenizer)
        # The thread alone knows the model, so that it is let go of when the thread ends.
        rows = RunningRows(Reader(subject.model))
        self._context = context_of(rows.reader.model)
        self._changed = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._running = 0
        self._counts = _Counts()
        self._ends_at: float | None = None
        self._thread = threading.Thread(target=self._work, args=(rows,), name="lorasdk-scheduler", daemon=True)
        self._thread.start()

    @property
    def load(self) -> SchedulerLoad:
        """What it is doing."""
        with self._changed:
            waiting, running = len(self._waiting), self._running
            return SchedulerLoad(waiting, running, self.max_waiting, self.max_rows, **vars(self._counts))

    @property
    def open(self) -> bool:
        """Whether it takes requests in."""
        return self._ends_at is None

    def submit(self, ask: Ask, tell: Tell) -> Ticket:
        """Take in a request; see `lorasdk.asking.Scheduler.submit`."""
        with self._changed:
            self._require_room()
        ticket = self._ticket(ask, tell)
        with self._changed:
            self._require_room()
            self._waiting.append(ticket)
            self._changed.notify()
        return ticket

    def close(self, *, drain_seconds: float = 0.0) -> None:
        """Take nothing more in, finish what is there for so long, cancel the rest, and end the thread."""
        with self._changed:
            self._ends_at = time.monotonic() + drain_seconds
            self._changed.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _require_room(self) -> None:
        if self._ends_at is not None:
            raise InferenceError(scheduler_closed())
        free = max(0, self.max_rows - self._running)
        if len(self._waiting) >= self.max_waiting + free:
            raise InferenceError(queue_full(self.max_waiting))

    def _ticket(self, ask: Ask, tell: Tell) -> Ticket:
        encoder, settings = self._encoder, self._settings(ask)
        turns, prompt = conversation(ask.prompt), ask.prompt
        ids = encoder.encode_text(prompt) if isinstance(prompt, str) else encoder.encode_prompt(turns, tools=ask.tools)
        limit = room_for(ids, settings, self._context, place="prompt")
        request = Request(tuple(ids), settings.seed, limit, settings, self._voice(ask.adapter))
        answer = Answer(request, Transcript(encoder.tokenizer, settings.stop), encoder.stop_ids)
        return Ticket(answer, tell, logprobs=ask.logprobs, texts=self._texts)

    def _work(self, rows: RunningRows) -> None:
        while self._wait(rows):
            self._advance(rows)
        with self._changed:
            left = [*self._waiting, *rows.clear()]
            self._waiting.clear()
            self._running = 0
        self._drop(left)

    def _advance(self, rows: RunningRows) -> None:
        """One more token of every row; new rows get their first."""
        self._drop(rows.leave(lambda ticket: not ticket.wanted))
        joining = self._joining(room=self.max_rows - len(rows))
        # Rows that run go first, since the first token of those that join may end them.
        tokens = self._computed(rows.step, rows.clear)
        if joining:
            tokens += self._computed(lambda: rows.join(joining), lambda: joining)
        self._take_in(rows, tokens)

    def _wait(self, rows: RunningRows) -> bool:
        """Wait until there is something to do; False when it is time to end."""
        with self._changed:
            while not (self._waiting or self._running or self._ends_at is not None):
                rows.reader.voices.forget()
                self._changed.wait()
            over = self._ends_at is not None and time.monotonic() >= self._ends_at
            return not over and bool(self._waiting or self._running)

    def _joining(self, *, room: int) -> list[Ticket]:
        """Requests for which there is room now."""
        with self._changed:
            found: list[Ticket] = []
            longest = 0
            while self._waiting and len(found) < room:
                longest = max(longest, self._waiting[0].prompt_tokens)
                if found and longest * (len(found) + 1) > PREFILL_TOKENS:
                    break
                found.append(self._waiting.popleft())
            wanted = [ticket for ticket in found if ticket.wanted]
            self._running = self.max_rows - room + len(wanted)
            self._counts.prompt_tokens += sum(ticket.prompt_tokens for ticket in wanted)
        self._drop([ticket for ticket in found if not ticket.wanted])
        return wanted

    def _computed(self, compute: Callable[[], list[Token]], victims: Callable[[], Sequence[Ticket]]) -> list[Token]:
        """What the model computes, or nothing and an error for those who waited for it."""
        try:
            with self._lock:
                return compute()
        except Exception as error:  # noqa: BLE001 - it is told to everybody whom it concerns, and the others go on
            failed = victims()
            for ticket in failed:
                ticket.fail(_in_our_words(error))
            with self._changed:
                self._counts.failed += len(failed)
            return []

    def _take_in(self, rows: RunningRows, tokens: Sequence[Token]) -> None:
        for ticket, token, logits in tokens:
            ticket.add(token, logits)
        done = rows.leave(lambda ticket: ticket.answer.finished)
        for ticket in done:
            ticket.end()
        with self._changed:
            self._running = len(rows)
            self._counts.finished += len(done)
            self._counts.completion_tokens += len(tokens)

    def _drop(self, tickets: Sequence[Ticket]) -> None:
        """Tell those whose answers are not wanted any more."""
        for ticket in tickets:
            ticket.fail(InferenceError(no_longer_wanted()))
        with self._changed:
            self._counts.cancelled += len(tickets)


def _in_our_words(error: Exception) -> LorasdkError:
    if isinstance(error, LorasdkError):
        return error
    told = InferenceError(answer_failed(error))
    told.__cause__ = error
    return told
