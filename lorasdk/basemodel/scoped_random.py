"""Borrows torch's global random state for what can draw from nothing else, and gives it back as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_BORROWED = threading.RLock()
"""The state belongs to the process, so there is one lock per process: two threads of ours never draw in turns."""


@contextmanager
def scoped_random(device: torch.device, *, seed: int | None = None) -> Iterator[None]:
    """Let code draw from the global generators of the host and of `device`, and put their states back afterwards.

    For libraries that take no generator of ours. Keep the block short: what the host's other threads draw meanwhile
    comes from our state.

    Args:
        device: whose generator is borrowed beside the host's.
        seed: what the generators start from; as they are when left out.
    """
    own = device.type != "cpu"
    kind = device.type if own else "cuda"
    with _BORROWED, torch.random.fork_rng(devices=[device] if own else [], device_type=kind):
        if seed is not None:
            # Not torch.manual_seed: it would seed devices that are not ours as well.
            torch.default_generator.manual_seed(seed)
            if own:
                state = torch.Generator(device).manual_seed(seed).get_state()
                torch.get_device_module(device).set_rng_state(state, device)
        yield


def global_states(device: torch.device) -> list[torch.Tensor]:
    """The states that `scoped_random` borrows, to see whether something drew from them."""
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(torch.get_device_module(device).get_rng_state(device))
    return states
