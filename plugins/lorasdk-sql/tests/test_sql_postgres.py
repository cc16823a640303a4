import gc
import socket
import time

import psutil
import pytest
from pydantic import SecretStr
from sql_asking import Asker, Server
from sql_servers import OWNER, PASSWORD
from sqlalchemy import make_url

from lorasdk.stopping import StopRequestedError

OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


def test_rows_come_by_column_name_in_the_querys_order(postgres: Asker):
    query = "SELECT question AS instruction, answer AS output FROM faq WHERE id > :after ORDER BY id DESC"
    rows = postgres.rows(query, parameters={"after": 998})
    assert rows == [
        {"instruction": "question 1000", "output": "answer 1000"},
        {"instruction": "question 999", "output": "answer 999"},
    ]


def test_rows_come_before_the_query_is_done(postgres: Asker):
    rows = postgres.iterate("SELECT id, 1 / (id - 500) AS a FROM faq ORDER BY id", fetch_size=10)
    assert [next(rows)["id"] for _ in range(20)] == list(range(1, 21))
    with pytest.raises(ValueError, match="division by zero"):
        list(rows)


def test_memory_does_not_grow_with_the_rows(postgres: Asker):
    query = "SELECT repeat('x', 2000) AS text FROM generate_series(1, 50000) /* ORDER BY: as made */"
    process = psutil.Process()
    rows = postgres.iterate(query, fetch_size=500)
    next(rows)
    before, highest, count = process.memory_info().rss, 0, 1
    for count, _ in enumerate(rows, start=2):
        if count % 1000 == 0:
            highest = max(highest, process.memory_info().rss)
    assert count == 50_000
    assert highest - before < 20_000_000, "all rows together are five times as large"


def test_types_become_plain_data(postgres: Asker):
    query = r"""
        SELECT 12.50::numeric AS price, 0.5::float8 AS share, true AS yes, NULL AS nothing,
            '2024-02-29 12:30+00'::timestamptz AT TIME ZONE 'UTC' AS at, '2024-02-29'::date AS day,
            '{1,2}'::int[] AS numbers, '[{"role"\: "user", "content"\: "hi"}]'::jsonb AS messages,
            '00000000-0000-0000-0000-000000000001'::uuid AS id
        ORDER BY 1
    """
    assert postgres.rows(query) == [
        {
            "price": "12.50",
            "share": 0.5,
            "yes": True,
            "nothing": None,
            "at": "2024-02-29T12:30:00",
            "day": "2024-02-29",
            "numbers": [1, 2],
            "messages": [{"role": "user", "content": "hi"}],
            "id": "00000000-0000-0000-0000-000000000001",
        }
    ]


@pytest.mark.parametrize("value", ["'a'::bytea", "'1 day'::interval", "'[1,2]'::int4range"])
def test_a_type_without_a_plain_form_makes_a_bad_row(postgres: Asker, value: str):
    assert postgres.rows(f"SELECT {value} AS value ORDER BY 1") == []
    assert [problem.code for problem in postgres.bad] == ["sql.no-plain-value"]


def test_parameters_are_bound_by_type_and_as_lists(postgres: Asker):
    query = """
        SELECT id FROM faq WHERE id IN :ids AND question LIKE :like AND CAST(:day AS date) < CURRENT_DATE AND :yes
        ORDER BY id
    """
    values = {"ids": [4, 999, 3], "like": "%9%", "day": "2024-02-29", "yes": True}
    assert postgres.rows(query, parameters=values) == [{"id": 999}]


@pytest.fixture
def writing_function(server: Server):
    server.run("CREATE OR REPLACE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM faq; SELECT 1'")
    server.run("CREATE SEQUENCE IF NOT EXISTS tickets")


WRITING = [
    "DELETE FROM faq",
    "DELETE FROM faq RETURNING id",
    "WITH gone AS (DELETE FROM faq RETURNING id) SELECT id FROM gone",
    "SELECT wipe()",
    "SELECT nextval('tickets')",
    "SELECT id INTO other FROM faq",
    "SELECT set_config('transaction_read_only', 'off', false)",
    "COMMIT",
]


@pytest.mark.usefixtures("writing_function")
@pytest.mark.parametrize("statement", WRITING)
def test_nothing_is_written(postgres: Asker, server: Server, statement: str):
    assert postgres.error(f"{statement} /* ORDER BY */").code == "sql.query-failed"
    assert server.run("SELECT count(*) FROM faq") == [(1000,)]
    assert server.run("SELECT is_called FROM tickets") == [(False,)]


def test_nothing_is_committed(postgres: Asker, server: Server):
    # Up to version 15 PostgreSQL makes a large object in a read-only transaction too.
    try:
        list(postgres.iterate("SELECT lo_create(0)::text AS made ORDER BY 1"))
    except ValueError as refused:
        assert "read-only" in str(refused)  # noqa: PT017 - newer servers refuse it
    assert server.run("SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]


@pytest.mark.parametrize("how", ["closed", "dropped", "stopped"])
def test_the_connection_is_closed_when_nobody_reads_on(postgres: Asker, server: Server, how: str, capfd):
    rows = postgres.iterate("SELECT id FROM faq ORDER BY id", fetch_size=2)
    next(rows)
    assert server.run(OTHERS) == [(1,)]
    if how == "closed":
        rows.close()
    elif how == "stopped":
        with pytest.raises(StopRequestedError):
            rows.throw(StopRequestedError())
    del rows
    gc.collect()
    until = time.monotonic() + 5
    while server.run(OTHERS) != [(0,)]:
        assert time.monotonic() < until, "the server still has the connection"
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def cut_rows(postgres: Asker, server: Server):
    """Rows whose connection the server has ended after the first."""
    rows = postgres.iterate("SELECT id FROM faq ORDER BY id", fetch_size=2)
    next(rows)
    server.run(OTHERS.replace("count(*)", "pg_terminate_backend(pid)"))
    return rows


def test_a_connection_that_is_cut_is_an_error_and_no_short_answer(cut_rows, capfd):
    rows = cut_rows
    with pytest.raises(ValueError, match="was lost") as caught:
        list(rows)
    assert caught.value.code == "sql.connection-lost"
    assert capfd.readouterr() == ("", "")


def test_a_connection_that_is_cut_does_not_disturb_who_reads_no_further(cut_rows, capfd):
    cut_rows.close()
    assert capfd.readouterr() == ("", "")


def test_a_slow_query_ends_with_the_timeout(postgres: Asker):
    error = postgres.error("SELECT CAST(pg_sleep(30) AS text) AS a ORDER BY 1", timeout=0.1)
    assert error.code == "sql.timeout"
    assert "longer than 0.1 s" in str(error)


def test_a_server_that_does_not_answer_is_given_up(postgres: Asker):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql+psycopg://u:hunter2@127.0.0.1:{silent.getsockname()[1]}/d"
        begun = time.monotonic()
        error = postgres.error("SELECT 1 ORDER BY 1", url=url, timeout=0.1)
    assert error.code == "sql.no-connection"
    assert time.monotonic() - begun < 5, "libpq's least is two seconds"


def other_url(server: Server, change: str) -> str:
    url = make_url(server.url)
    changed = {
        "password": url.set(password="wrong-4712"),
        "user": url.set(username="nobody"),
        "database": url.set(database="nosuch"),
        "port": url.set(port=1),
        "host": url.set(host="no-such-host.invalid"),
        "reader": url.set(username="reader", password="reader"),
    }
    return changed[change].render_as_string(hide_password=False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("password", f'password authentication failed for user "{OWNER}"'),
        ("user", 'password authentication failed for user "nobody"'),
        ("database", 'database "nosuch" does not exist'),
        ("port", "Connection refused"),
        ("host", "no-such-host.invalid"),
    ],
)
def test_the_driver_says_why_there_is_no_connection(postgres: Asker, server: Server, change: str, said: str):
    error = postgres.error("SELECT 1 ORDER BY 1", url=SecretStr(other_url(server, change)), timeout=5)
    assert error.code == "sql.no-connection"
    assert said in str(error)
    assert PASSWORD not in str(error)
    assert "4712" not in str(error)


def test_P94_neither_password_nor_values_are_logged(postgres: Asker, caplog):
    caplog.set_level("DEBUG", logger="sqlalchemy")
    caplog.set_level("DEBUG", logger="psycopg")
    postgres.rows("SELECT id FROM faq WHERE question = :question ORDER BY id", parameters={"question": "hunter2"})
    postgres.error("SELECT nosuch FROM faq WHERE question = :question ORDER BY id", parameters={"question": "hunter2"})
    assert "SELECT id FROM faq" in caplog.text
    assert PASSWORD not in caplog.text
    assert "hunter2" not in caplog.text


def test_the_server_says_what_is_wrong_with_the_query(postgres: Asker):
    assert 'syntax error at or near "FORM"' in str(postgres.error("SELECT * FORM faq ORDER BY id"))
    assert 'relation "nosuch" does not exist' in str(postgres.error("SELECT * FROM nosuch ORDER BY id"))


def test_a_user_without_the_right_to_read_is_told(postgres: Asker, server: Server):
    url = SecretStr(other_url(server, "reader"))
    error = postgres.error("SELECT * FROM faq ORDER BY id", url=url)
    assert error.code == "sql.query-failed"
    assert "permission denied for table faq" in str(error)


def test_columns_of_one_name_are_named(postgres: Asker):
    error = postgres.error("SELECT a.id, b.id FROM faq a JOIN faq b USING (id) ORDER BY 1")
    assert error.code == "sql.duplicate-columns"


def test_check_asks_no_server(postgres: Asker, server: Server):
    assert postgres.check("SELECT 1 ORDER BY 1", url=SecretStr(other_url(server, "port"))) == []
