"""Examples come back from disk as they were, whole, by slice, chosen, and from several threads."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from tiny_training import chat

from lorasdk.contracts import Example, Message
from lorasdk.data.example_store import ExampleStore, Selection
from lorasdk.errors import ResourceError

CALL = {"type": "function", "function": {"name": "f", "arguments": {"x": [1, None]}}}
EXAMPLES = [
    chat("grüße \ud800", "…", row=1),
    Example(3, text="plain"),
    Example(
        4, (Message("user", "u"), Message("assistant", "", (CALL,)), Message("tool", "t", (), "id", "f")), None, (CALL,)
    ),
    *(chat(f"q{number}", f"a{number}", row=number) for number in range(5, 40)),
]


def stored(*, in_memory: int) -> ExampleStore:
    store = ExampleStore(in_memory=in_memory)
    for example in EXAMPLES:
        store.append(example)
    return store


@pytest.mark.parametrize("in_memory", [0, 2, 100])
def test_they_come_back_as_they_were(in_memory: int):
    store = stored(in_memory=in_memory)
    assert list(store) == EXAMPLES
    assert (len(store), store[-1], store[1:3]) == (38, EXAMPLES[-1], tuple(EXAMPLES[1:3]))


def test_many_leave_memory():
    assert stored(in_memory=2)._few == []


def test_some_of_them_are_chosen_by_their_places():
    chosen = Selection(stored(in_memory=2), (0, 2, 7))
    assert list(chosen) == [EXAMPLES[0], EXAMPLES[2], EXAMPLES[7]]
    assert (len(chosen), chosen[1:]) == (3, (EXAMPLES[2], EXAMPLES[7]))


def test_several_threads_read_at_once():
    store = stored(in_memory=0)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(store.__getitem__, list(range(38)) * 20)) == EXAMPLES * 20


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch):
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(ResourceError) as caught:
        stored(in_memory=2)
    assert caught.value.code == "disk.rows"
