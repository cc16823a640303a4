from datetime import UTC, date, datetime, time
from decimal import Decimal
from uuid import UUID

import pytest
from lorasdk_sql.values import NoPlainValueError, plain_value
from sql_asking import Asker


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        ("text", "text"),
        (True, True),
        (7, 7),
        (0.5, 0.5),
        (Decimal("12.50"), "12.50"),
        (Decimal("1E+3"), "1000"),
        (date(2024, 2, 29), "2024-02-29"),
        (time(12, 30), "12:30:00"),
        (datetime(2024, 2, 29, 12, 30, tzinfo=UTC), "2024-02-29T12:30:00+00:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ([1, [Decimal("0.1")]], [1, ["0.1"]]),
        (("a", None), ["a", None]),
        ({"role": "user", "at": date(2024, 1, 1)}, {"role": "user", "at": "2024-01-01"}),
    ],
)
def test_a_value_becomes_plain_data(value: object, plain: object):
    assert plain_value(value) == plain
    assert type(plain_value(value)) is type(plain)


@pytest.mark.parametrize("value", [b"a", memoryview(b"a"), object(), [b"a"], {"a": b"a"}])
def test_bytes_and_strangers_have_no_plain_form(value: object):
    with pytest.raises(NoPlainValueError):
        plain_value(value)


def test_a_row_with_bytes_is_bad_and_the_others_come(sqlite: Asker):
    rows = sqlite.rows("SELECT id, picture FROM faq ORDER BY id")
    assert [row["id"] for row in rows] == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    (problem,) = sqlite.bad
    assert (problem.code, problem.place, problem.field) == ("sql.no-plain-value", "train (sql) row 3", "picture")
    assert "bytes" in problem.message
