"""Imports bitsandbytes without torch's compiler, which is over half of what the import costs.

While it is imported, bitsandbytes has four functions compiled, and torch imports its whole compiler only to promise
that. Here the promise is given without the compiler: it is made good when one of the functions is first called.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any

import torch

_ONE_AT_A_TIME = threading.Lock()
"""Held while `torch.compile` is replaced, which is the process's and not ours alone."""


def import_bitsandbytes() -> None:
    """Import bitsandbytes, if nobody has yet; other threads see `torch.compile` as it always was."""
    with compiled_when_called():
        import bitsandbytes  # noqa: F401 - for its import alone


@contextmanager
def compiled_when_called() -> Iterator[None]:
    """Let what this thread gives to `torch.compile` inside the block be compiled at its first call."""
    with _ONE_AT_A_TIME:
        compile_now, thread = torch.compile, threading.get_ident()

        def compile_later(function: Callable[..., Any] | None = None, **settings: Any) -> Any:  # noqa: ANN401 - torch's
            if function is None or threading.get_ident() != thread:
                return compile_now(function, **settings)
            compiled = cache(lambda: compile_now(function, **settings))

            @wraps(function)
            def call(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - the function's own
                return compiled()(*args, **named)

            return call

        torch.compile = compile_later  # type: ignore[assignment]
        try:
            yield
        finally:
            torch.compile = compile_now
