"""Many adapters on one base model, by name: loaded, replaced, forgotten, and bounded in number and memory. Light."""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.asking import Resident
from lorasdk.errors import AdapterError, Problem
from lorasdk.refusals import adapter_changed, adapter_too_large, adapter_unknown, no_bound, taken
from lorasdk.results import AdapterInfo
from lorasdk.runs.folder import find_adapter_dir

if TYPE_CHECKING:
    from lorasdk.artifacts.passport import Passport

NAME = re.compile(r"[\w][\w.:/@+-]{0,127}")
"""Names that may also stand in a request's JSON or in a metric's label."""
GIGABYTE = 10**9


Read = Callable[[Path, "Passport"], Resident]
"""Reads a folder whose passport was read, after proving that it fits the base model."""


@dataclass(frozen=True)
class _Member:
    info: AdapterInfo
    passport: Passport
    matrices: Resident | None


class AdapterSet:
    """The adapters of one tuner, beside the one that it was opened with or has trained.

    Safe to use from any thread. A request answers with the matrices that the name stood for when it began, so that its
    answer comes wholly from one adapter, also when the name is given to another meanwhile.
    Bounds are kept by letting go of what was asked for longest ago; its name stays, and the next request reads its
    folder again, if that still holds the same adapter. What running requests use goes when they end.
    """

    def __init__(self, read: Read) -> None:
        """Not for callers: `FineTuner.adapters` is one."""
        self._read = read
        self._lock, self._reading = threading.RLock(), threading.Lock()
        self._members: OrderedDict[str, _Member] = OrderedDict()
        self._most, self._most_bytes = 64, 4 * GIGABYTE

    def load(self, name: str, path: str | os.PathLike[str], *, replace: bool = False) -> AdapterInfo:
        """Bring a saved adapter into memory under a name, once its passport agrees with the base model and template.

        Args:
            name: letters, digits and ``_ . : / @ + -``, at most 128.
            path: an adapter folder, a run's folder, or the folder of a recipe's runs (the latest is taken).
            replace: let the name stand for this adapter from now on if it stands for another; running requests end with
                the one that they began with.

        Raises:
            AdapterError: the name is taken or no name; there is no adapter, or it is damaged; it was trained on other
                weights or with another template; a matrix is missing, too many, or of another rank or shape; it does
                more to the model than add matrices to linear layers; or it is larger than all that may be in memory.
        """
        _require_name(name)
        self._require_free(name, replace=replace)
        folder = find_adapter_dir(Path(path).expanduser().absolute())
        member = self._member(name, folder)
        with self._lock:
            self._require_free(name, replace=replace)
            self._put(name, member)
        return member.info

    def unload(self, name: str) -> None:
        """Forget a name; running requests end with the adapter that they began with.

        Raises:
            AdapterError: nothing has this name.
        """
        with self._lock:
            self._known(name)
            del self._members[name]

    def list(self) -> tuple[AdapterInfo, ...]:
        """All adapters by name, those included that are not in memory just now."""
        with self._lock:
            return tuple(self._members[name].info for name in sorted(self._members))

    def keep_at_most(self, *, count: int | None = None, gigabytes: float | None = None) -> None:
        """Bound what is in memory: adapters, and GB (10⁹ bytes) of their matrices; 64 and 4 unless told.

        Raises:
            AdapterError: a bound is not positive.
        """
        if (count is not None and count < 1) or (gigabytes is not None and not gigabytes > 0):
            raise AdapterError(no_bound(count, gigabytes))
        with self._lock:
            self._most = self._most if count is None else count
            self._most_bytes = self._most_bytes if gigabytes is None else int(gigabytes * GIGABYTE)
            self._let_go()

    def take(self, name: str) -> Resident:
        """The matrices that a name stands for now; for whoever answers with them.

        Raises:
            AdapterError: nothing has this name, or its folder holds something else by now.
        """
        return self._in_memory(name) or self._brought_back(name)

    def release(self) -> None:
        """Let go of all matrices; names stay, and are read again when they are asked for."""
        with self._lock:
            for name, member in self._members.items():
                self._members[name] = _let_go(member)

    def _in_memory(self, name: str) -> Resident | None:
        with self._lock:
            matrices = self._known(name).matrices
            if matrices is not None:
                self._members.move_to_end(name)
            return matrices

    def _brought_back(self, name: str) -> Resident:
        # Ten requests for one adapter read it once; those for adapters in memory need not wait for it.
        with self._reading:
            found = self._in_memory(name)
            if found is not None:
                return found
            with self._lock:
                before = self._known(name)
            again = self._read_again(before)
            with self._lock:
                if self._members.get(name) is before:
                    self._put(name, again)
        assert again.matrices is not None
        return again.matrices

    def _member(self, name: str, folder: Path) -> _Member:
        from lorasdk.artifacts.passport import read_passport

        passport = read_passport(folder)
        matrices = self._read(folder, passport)
        recipe_name, size = str(passport.recipe.get("name", "")), matrices.bytes
        info = AdapterInfo(name, folder, recipe_name, passport.created, matrices.rank, size, resident=True)
        return _Member(info, passport, matrices)

    def _read_again(self, member: _Member) -> _Member:
        again = self._member(member.info.name, member.info.folder)
        if again.passport.adapter_sha256 != member.passport.adapter_sha256:
            raise AdapterError(adapter_changed(member.info))
        return again

    def _put(self, name: str, member: _Member) -> None:
        """Take in the newest member, which must fit alone, and make room for it."""
        if member.info.bytes > self._most_bytes:
            raise AdapterError(adapter_too_large(member.info, self._most_bytes))
        self._members[name] = member
        self._members.move_to_end(name)
        self._let_go()

    def _let_go(self) -> None:
        resident = [name for name, member in self._members.items() if member.matrices is not None]
        total = sum(self._members[name].info.bytes for name in resident)
        while resident and (len(resident) > self._most or total > self._most_bytes):
            oldest = resident.pop(0)
            total -= self._members[oldest].info.bytes
            self._members[oldest] = _let_go(self._members[oldest])

    def _known(self, name: str) -> _Member:
        if name not in self._members:
            raise AdapterError(adapter_unknown(name, sorted(self._members)))
        return self._members[name]

    def _require_free(self, name: str, *, replace: bool) -> None:
        with self._lock:
            if name in self._members and not replace:
                raise AdapterError(taken(self._members[name].info))


def _let_go(member: _Member) -> _Member:
    return _Member(replace(member.info, resident=False), member.passport, None)


def _require_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise AdapterError(
            Problem(
                code="adapter.bad-name",
                message="this cannot be the name of an adapter",
                field="name",
                found=repr(name[:140]),
                allowed="1 to 128 letters, digits and _ . : / @ + -, beginning with a letter, a digit or _",
                fix="choose another name",
            )
        )
