"""A scheduler without a model: answers that are known beforehand, many together, a word at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from lorasdk.asking import Ask, ChosenToken, Piece, SchedulerLoad, Tell, TokenChance
from lorasdk.errors import InferenceError, Problem
from lorasdk.recipe.schema import GenerationSection
from lorasdk.refusals import generation_settings, no_longer_wanted
from lorasdk.results import Completion

FakeAnswer: TypeAlias = Callable[[Ask], str]
"""What is answered; an error that it raises is raised by `submit`."""
LIKELY, UNLIKELY = -0.1, -5.0
"""Nats of the word that is said, and of any other."""


class FakeScheduler:
    """Fulfils `lorasdk.asking.Scheduler`; words count as tokens, and so does the end of an answer.

    Args:
        answer: what is answered.
        settings: the recipe's, which a request may change; stop sequences and the answer's length count, the rest is
            only checked.
        max_rows: answers that grow together.
        max_waiting: answers that may wait.
        seconds_per_word: how long all the answers' next words take together.
    """

    def __init__(
        self,
        answer: FakeAnswer,
        *,
        settings: GenerationSection | None = None,
        max_rows: int = 32,
        max_waiting: int = 256,
        seconds_per_word: float = 0.0,
    ) -> None:
        self._answer, self._settings = answer, settings or GenerationSection()
        self._seconds_per_word = seconds_per_word
        self._load = SchedulerLoad(0, 0, max_waiting, max_rows, 0, 0, 0, 0, 0)
        self._waiting: deque[FakeTicket] = deque()
        self._running: list[FakeTicket] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def load(self) -> SchedulerLoad:
        """What it is doing."""
        with self._changed:
            return replace(self._load, waiting=len(self._waiting), running=len(self._running))

    @property
    def open(self) -> bool:
        """Whether it takes requests in."""
        return not self._closed

    def submit(self, ask: Ask, tell: Tell) -> FakeTicket:
        """Take in a request.

        Raises:
            InferenceError: it is closed, its queue is full, or a setting is wrong; whatever the answer raises.
        """
        ticket = FakeTicket(ask, tell, self._answer(ask), generation_settings(self._settings, ask.generation))
        with self._changed:
            if self._closed:
                raise InferenceError(Problem("inference.closed", "the scheduler is closed", fix="open another one"))
            free = self._load.max_rows - len(self._running)
            if len(self._waiting) - free >= self._load.max_waiting:
                raise InferenceError(
                    Problem("inference.queue-full", "too many requests are waiting", fix="ask again later")
                )
            self._waiting.append(ticket)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="lorasdk-fake-scheduler", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return ticket

    def close(self, *, drain_seconds: float = 0.0) -> None:
        """Take nothing more in, finish what is there for so long, cancel the rest."""
        until = time.monotonic() + drain_seconds
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting and not self._running, max(0.0, until - time.monotonic()))
            for ticket in (*self._waiting, *self._running):
                ticket.cancel()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._running or self._closed)
                if self._closed and not self._waiting and not self._running:
                    return
                self._begin()
                running = list(self._running)
            time.sleep(self._seconds_per_word)
            ended = [ticket for ticket in running if not ticket.go_on()]
            with self._changed:
                self._end(ended)
                self._changed.notify_all()

    def _begin(self) -> None:
        while self._waiting and len(self._running) < self._load.max_rows:
            ticket = self._waiting.popleft()
            self._running.append(ticket)
            self._load = replace(self._load, prompt_tokens=self._load.prompt_tokens + ticket.prompt_tokens)

    def _end(self, tickets: list[FakeTicket]) -> None:
        for ticket in tickets:
            self._running.remove(ticket)
            load = self._load
            self._load = replace(
                load,
                completion_tokens=load.completion_tokens + ticket.said,
                cancelled=load.cancelled + ticket.cancelled,
                finished=load.finished + (not ticket.cancelled),
            )


@dataclass(eq=False)
class FakeTicket:
    """One request and its answer, word by word."""

    ask: Ask
    tell: Tell
    answer: str
    settings: GenerationSection
    said: int = 0
    """Words told so far."""
    cancelled: bool = False

    def __post_init__(self) -> None:
        self._words = list(_words(self._until_stop()))

    @property
    def prompt_tokens(self) -> int:
        """Words of the prompt."""
        prompt = self.ask.prompt
        texts = [prompt] if isinstance(prompt, str) else [turn.content for turn in prompt]
        return sum(len(text.split()) for text in texts)

    def cancel(self) -> None:
        """End it at the next word."""
        self.cancelled = True

    def go_on(self) -> bool:
        """Tell the next word, or the end; whether there is more."""
        if self.cancelled:
            self.tell(InferenceError(no_longer_wanted()))
            return False
        if self.said < min(len(self._words), self.settings.max_new_tokens):
            word = self._words[self.said]
            self.said += 1
            self.tell(Piece(word, self._tokens(word)))
            return True
        cut = self.said < len(self._words) or self.said == self.settings.max_new_tokens
        tokens = self.said if cut else self.said + 1
        text = "".join(self._words[: self.said])
        self.tell(Completion(text, self.prompt_tokens, tokens, "length" if cut else "stop"))
        return False

    def _until_stop(self) -> str:
        ends = [self.answer.find(stop) for stop in self.settings.stop]
        return self.answer[: min([end for end in ends if end >= 0], default=len(self.answer))]

    def _tokens(self, word: str) -> tuple[ChosenToken, ...]:
        if self.ask.logprobs is None:
            return ()
        chosen = TokenChance(word, word.encode(), LIKELY)
        others = [TokenChance(f" other{i}", f" other{i}".encode(), UNLIKELY - i) for i in range(self.ask.logprobs)]
        return (ChosenToken(chosen, (chosen, *others)[: self.ask.logprobs]),)


def _words(text: str) -> Iterator[str]:
    """Words with the space before them."""
    for number, word in enumerate(text.split(" ") if text else []):
        yield word if number == 0 else f" {word}"
