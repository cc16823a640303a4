"""Tells that memory ran out from everything else that can go wrong in a pass, and how much was missing."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psutil
import torch

_HOST = re.compile(r"not enough memory|can't allocate memory|cannot allocate memory|out of memory", re.IGNORECASE)
_ASKED = re.compile(r"(?:tried to allocate|you tried to allocate) ([\d.]+) ?(bytes|B|KiB|MiB|GiB)?", re.IGNORECASE)
_UNITS = {"": 1, "bytes": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True, slots=True)
class Shortage:
    """Memory that could not be had."""

    message: str
    """The allocator's first line."""
    needed: int | None
    """Bytes of the request that failed, where the allocator says."""
    available: int
    """Bytes free on the device at that moment."""

    def __str__(self) -> str:
        needed = "an unknown amount" if self.needed is None else f"{self.needed / 1e6:,.0f} MB"
        return f"{needed} more needed, {self.available / 1e6:,.0f} MB available"


def shortage_in(error: BaseException, device: torch.device) -> Shortage | None:
    """What was missing, or None if `error` is about something else."""
    text = (str(error).splitlines() or [""])[0]
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    if not known and not (type(error) is RuntimeError and _HOST.search(text)):
        return None
    asked = _ASKED.search(text)
    needed = None if asked is None else int(float(asked[1].rstrip(".")) * _UNITS[(asked[2] or "").lower()])
    return Shortage(text, needed, _available(device))


def _available(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(psutil.virtual_memory().available)
