"""Lets each row of a pass be answered by an adapter of its own, or by the base model alone.

Rows that one adapter answers are computed as always. In a mixed pass the linear layers get other forwards while it
lasts, on the instances and never on a class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch.nn.functional import linear

from lorasdk.asking import Voice
from lorasdk.basemodel.low_rank import LowRank
from lorasdk.basemodel.unwrapping import unwrapped
from lorasdk.errors import InferenceError, Problem
from lorasdk.inference.adapter_bank import AdapterBank, Seat
from lorasdk.inference.adapter_state import Forward, Forwards, State, low_rank_forward, replaced, state_of
from lorasdk.inference.resident_adapter import ResidentAdapter, adapter_on

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FEW_TOKENS = 256
"""Up to so many tokens of a pass, two products for all adapters take less time than two for each."""

REMEMBERED = 8
"""Voices whose forwards are kept for the next pass."""

Rows = tuple[ResidentAdapter | None, ...]


@dataclass(slots=True)
class _Pass:
    """The rows of the pass that is being computed."""

    rows: int
    mask: torch.Tensor
    """(rows, 1, 1, places·width)."""
    runs: tuple[tuple[int, int, ResidentAdapter], ...]
    """Rows from and to that one adapter answers, where they lie side by side."""
    a: torch.Tensor | None = None
    """The matrices of the last product."""
    x: torch.Tensor | None = None
    """Its input."""
    hidden: torch.Tensor | None = None
    """(rows·tokens, layers·places·width): what came of it, each row with its own adapter's part alone."""

    def low(self, x: torch.Tensor, seat: Seat) -> torch.Tensor:
        """(rows·tokens, places·width): what the adapters make of an input, computed once for layers that share it."""
        if self.hidden is None or self.a is not seat.a or self.x is not x:
            product = linear(x.to(seat.a.dtype), seat.a)
            product.view(*product.shape[:2], -1, self.mask.shape[-1]).mul_(self.mask)
            self.a, self.x, self.hidden = seat.a, x, product.flatten(0, 1)
        return self.hidden[:, seat.part]

    def forget(self) -> None:
        """Let go of the last product."""
        self.a = self.x = self.hidden = None


class Voices:
    """The adapters of one model's rows, for one caller; it keeps what one pass needs for the next."""

    def __init__(self, model: PreTrainedModel | PeftModel) -> None:
        self.model, self.base = model, unwrapped(model)
        self._states: dict[Voice, State] = {}
        self._dtype = torch.float32 if self.base.dtype == torch.float16 else self.base.dtype
        self._own: ResidentAdapter | None = None
        self._bank = AdapterBank(self._dtype, self.base.device)
        self._forwards: Forwards = []
        self._rows: Rows = ()
        self._pass = _Pass(0, torch.empty(0), ())

    def speaking(self, voices: Sequence[Voice]) -> AbstractContextManager[object]:
        """The model's state for one pass over rows with these voices; nobody else may compute with it meanwhile."""
        first = voices[0]
        if any(voice is not first for voice in voices):
            return self._together(tuple(map(self._resident, voices)))
        return self._state(first)()

    def forget(self) -> None:
        """Let go of adapters that no row has any more."""
        self._states = {voice: state for voice, state in self._states.items() if isinstance(voice, bool)}
        self._bank = AdapterBank(self._dtype, self.base.device)
        self._forwards, self._rows = [], ()

    def _state(self, voice: Voice) -> State:
        if voice not in self._states:
            states = list(self._states.items())
            # Old ones would keep adapters in memory that were let go of.
            self._states = dict(states[-REMEMBERED:])
            self._states[voice] = self._new_state(voice)
        return self._states[voice]

    def _new_state(self, voice: Voice) -> State:
        if isinstance(voice, bool):
            return state_of(self.model, adapter=voice)
        assert isinstance(voice, ResidentAdapter)
        return self._alone(voice)

    def _resident(self, voice: Voice) -> ResidentAdapter | None:
        if isinstance(voice, ResidentAdapter):
            return voice
        assert isinstance(voice, bool)
        if not voice or not isinstance(self.model, PeftModel):
            return None
        if self._own is None:
            self._own = adapter_on(self.model)
        return self._own

    def _alone(self, adapter: ResidentAdapter) -> State:
        bare = self._state(False)
        forwards = [
            (self.base.get_submodule(path), low_rank_forward(self._bare(path), layer.a, layer.sb, self.base.dtype))
            for path, layer in adapter.layers.items()
        ]
        return lambda: _both(bare, forwards)

    @contextmanager
    def _together(self, rows: Rows) -> Iterator[None]:
        if rows != self._rows:
            self._prepare(rows)
        with _both(self._state(False), self._forwards):
            yield
        self._pass.forget()

    def _prepare(self, rows: Rows) -> None:
        adapters = [adapter for adapter in rows if adapter is not None]
        if self._bank.seat(adapters):
            self._forwards = [(self.base.get_submodule(path), self._mixed(path)) for path in self._bank.layers]
        self._pass = _Pass(len(rows), self._bank.mask(rows)[:, None, None], tuple(_runs(rows)))
        self._rows = rows

    def _bare(self, path: str) -> Forward:
        layer = self.base.get_submodule(path)
        if isinstance(layer, BaseTunerLayer):
            base: Forward = layer.get_base_layer().__call__
            return base
        forward: Forward = layer.forward
        return forward

    def _mixed(self, path: str) -> Forward:
        base, seat = self._bare(path), self._bank.layers[path]

        def forward(x: torch.Tensor) -> torch.Tensor:
            now = self._pass
            if x.dim() != 3 or x.shape[0] != now.rows:  # noqa: PLR2004 - rows, tokens, size
                raise InferenceError(_not_by_rows(path, x))
            result = base(x)
            if now.rows * x.shape[1] <= FEW_TOKENS:
                _add_product(result.view(-1, result.shape[-1]), now.low(x, seat), seat.b)
            else:
                _add_by_runs(result, x, path, now)
            return result

        return forward


def _add_product(result: torch.Tensor, hidden: torch.Tensor, b: torch.Tensor) -> None:
    if result.dtype == b.dtype:
        result.addmm_(hidden, b)
    else:
        result += hidden @ b


def _add_by_runs(result: torch.Tensor, x: torch.Tensor, path: str, now: _Pass) -> None:
    for start, end, adapter in now.runs:
        layer = adapter.layers.get(path)
        if layer is not None:
            result[start:end] += _update(x[start:end], layer)


def _update(x: torch.Tensor, layer: LowRank) -> torch.Tensor:
    a, sb = layer.a.to(x.dtype), layer.sb.to(x.dtype)
    return linear(linear(x, a), sb)


def _runs(rows: Rows) -> Iterator[tuple[int, int, ResidentAdapter]]:
    for adapter, members in groupby(range(len(rows)), key=lambda row: rows[row]):
        numbers = list(members)
        if adapter is not None:
            yield numbers[0], numbers[-1] + 1, adapter


@contextmanager
def _both(bare: State, forwards: Forwards) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(bare())
        stack.enter_context(replaced(forwards))
        yield


def _not_by_rows(path: str, x: torch.Tensor) -> Problem:
    return Problem(
        code="inference.not-mixable",
        message=f"layer {path} does not see its rows one by one, so that adapters cannot be told apart in it",
        found=f"an input of the shape {tuple(x.shape)}",
        allowed="(rows, tokens, size)",
        fix="answer the prompts of each adapter in a call of their own",
    )
