"""Reads rows as if a loader had given them."""

import pytest

from lorasdk.contracts import Message
from lorasdk.data.bad_rows import BadRows
from lorasdk.data.examples import read_examples
from lorasdk.errors import DataError
from lorasdk.recipe.schema import DataSource

QUESTION, ANSWER = Message("user", "q"), Message("assistant", "a")
CHAT = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]


def read(*rows: object, policy: str = "error", **source: object):
    return read_examples(
        rows, source=DataSource.model_validate(source), origin="train", bad=BadRows(policy)  # type: ignore[arg-type]
    )  # fmt: skip


def refused(*rows: object, **source: object):
    with pytest.raises(DataError) as caught:
        read(*rows, **source)
    return caught.value
