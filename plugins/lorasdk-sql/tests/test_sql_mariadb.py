import gc
import socket
import time

import pytest
from sql_asking import Asker, Server


def test_rows_come_by_column_name_in_the_querys_order(mariadb: Asker):
    query = "SELECT question AS instruction, answer AS output FROM faq WHERE id IN :ids ORDER BY id DESC"
    rows = mariadb.rows(query, parameters={"ids": [1, 1000]}, fetch_size=1)
    assert rows == [
        {"instruction": "question 1000", "output": "answer 1000"},
        {"instruction": "question 1", "output": "answer 1"},
    ]


def test_types_become_plain_data(mariadb: Asker):
    query = """
        SELECT CAST(12.5 AS decimal(6, 2)) AS price, 0.5e0 AS share, NULL AS nothing,
            CAST('2024-02-29 12:30' AS datetime) AS at, JSON_OBJECT('a', 1) AS json
        ORDER BY 1
    """
    row = {"price": "12.50", "share": 0.5, "nothing": None, "at": "2024-02-29T12:30:00", "json": '{"a": 1}'}
    assert mariadb.rows(query) == [row]


WRITING = [
    "DELETE FROM faq",
    "INSERT INTO faq (id) VALUES (1001) RETURNING id",
    "DROP TABLE faq",
    "TRUNCATE TABLE faq",
    "CREATE TABLE other (id int)",
]


@pytest.mark.parametrize("statement", WRITING)
def test_nothing_is_written(mariadb: Asker, mariadb_server: Server, statement: str):
    error = mariadb.error(f"{statement} -- ORDER BY")
    assert error.code == "sql.query-failed"
    assert "READ ONLY" in str(error)
    assert mariadb_server.run("SELECT count(*) FROM faq") == [(1000,)]


def test_a_server_that_does_not_answer_is_given_up(mariadb: Asker):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"mysql+pymysql://u:hunter2@127.0.0.1:{silent.getsockname()[1]}/d"
        begun = time.monotonic()
        error = mariadb.error("SELECT 1 ORDER BY 1", url=url, timeout=0.1)
    assert error.code == "sql.no-connection"
    assert time.monotonic() - begun < 5, "the driver's least is a second"


def test_the_connection_is_closed_when_nobody_reads_on(mariadb: Asker, mariadb_server: Server, capfd):
    others = "SELECT count(*) FROM information_schema.processlist WHERE id <> connection_id() AND db = 'support'"
    rows = mariadb.iterate("SELECT id FROM faq ORDER BY id", fetch_size=2)
    next(rows)
    assert mariadb_server.run(others) == [(1,)]
    del rows
    gc.collect()
    until = time.monotonic() + 5
    while mariadb_server.run(others) != [(0,)]:
        assert time.monotonic() < until, "the server still has the connection"
    assert capfd.readouterr() == ("", "")


def test_the_servers_own_message_says_what_is_wrong(mariadb: Asker):
    assert "Unknown column 'nosuch'" in str(mariadb.error("SELECT nosuch FROM faq ORDER BY 1"))
