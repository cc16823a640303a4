"""The rows that a scheduler is answering: those that join are read first and then go on with the others, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from lorasdk.inference.batching import Batching
from lorasdk.inference.decoding import Batch
from lorasdk.inference.reading import Reader
from lorasdk.inference.ticket import Ticket

Token = tuple[Ticket, int, torch.Tensor]
"""Whose, which, and (vocabulary,) the logits that it was chosen from."""


@dataclass
class _Group:
    """Rows of one batch, in its order."""

    batch: Batch
    tickets: list[Ticket]

    def step(self) -> Iterator[Token]:
        tokens = self.batch.step()
        return zip(self.tickets, tokens, self.batch.logits, strict=True)


class RunningRows:
    """One batch, where the model's memory of a text can be moved; otherwise one for those that came together."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._groups: list[_Group] = []

    def __len__(self) -> int:
        """How many."""
        return sum(len(group.tickets) for group in self._groups)

    def step(self) -> list[Token]:
        """The next token of every row."""
        return [token for group in self._groups for token in group.step()]

    def join(self, tickets: Sequence[Ticket]) -> list[Token]:
        """Read some prompts, at least one; their first tokens. Nothing joins if that fails."""
        batching = Batching(self.reader, [ticket.request for ticket in tickets], len(tickets))
        (order,) = batching.rows()
        group = _Group(batching.batch(order), [tickets[row] for row in order])
        first = list(group.step())
        host = next((other for other in self._groups if other.batch.can_join(group.batch)), None)
        if host is None:
            self._groups.append(group)
        else:
            host.batch.join(group.batch)
            host.tickets += group.tickets
        return first

    def leave(self, done: Callable[[Ticket], bool]) -> list[Ticket]:
        """Let rows go; theirs are computed no more."""
        left = [ticket for group in self._groups for ticket in group.tickets if done(ticket)]
        for group in self._groups:
            staying = [row for row, ticket in enumerate(group.tickets) if not done(ticket)]
            if staying and len(staying) < len(group.tickets):
                group.batch.keep(staying)
            group.tickets = [group.tickets[row] for row in staying]
        self._groups = [group for group in self._groups if group.tickets]
        return left

    def clear(self) -> list[Ticket]:
        """Let all go."""
        return self.leave(lambda _ticket: True)
