"""torch's compiler waits until something is compiled; to everybody else nothing is different."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lorasdk.basemodel.bitsandbytes_import import compiled_when_called


class Compiler:
    def __init__(self) -> None:
        self.asked: list[tuple[object, dict[str, object]]] = []

    def __call__(self, function: Callable[..., Any] | None = None, **settings: object) -> Callable[..., Any]:
        self.asked.append((function, settings))
        return lambda *args: ("compiled", *args)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> Compiler:
    compiler = Compiler()
    monkeypatch.setattr(torch, "compile", compiler)
    return compiler


def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


def test_a_function_is_compiled_at_its_first_call_and_once(compiler: Compiler):
    with compiled_when_called():
        later = torch.compile(double, dynamic=True)
    assert compiler.asked == []
    assert [later(1), later(2)] == [("compiled", 1), ("compiled", 2)]
    assert compiler.asked == [(double, {"dynamic": True})]
    assert later.__doc__ == "Twice the number."


def test_other_threads_compile_at_once(compiler: Compiler):
    with compiled_when_called():
        thread = threading.Thread(target=lambda: torch.compile(double))
        thread.start()
        thread.join()
    assert compiler.asked == [(double, {})]


def test_torch_is_as_it_was_afterwards_also_after_a_failure(compiler: Compiler):
    with pytest.raises(ImportError), compiled_when_called():
        raise ImportError
    assert torch.compile is compiler
