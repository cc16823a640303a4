import gc
import shutil
import sqlite3
import threading
import tracemalloc
from pathlib import Path

import pytest
from lorasdk_sql.manners import Other
from sql_asking import PLACE, Asker

from lorasdk.stopping import StopRequestedError

COUNT = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) "


def test_rows_come_by_column_name_in_the_querys_order(sqlite: Asker):
    query = "SELECT question AS instruction, answer AS output FROM faq WHERE id > :after ORDER BY id DESC"
    rows = sqlite.rows(query, parameters={"after": 8})
    assert rows == [
        {"instruction": "question 10", "output": "answer 10"},
        {"instruction": "question 9", "output": "answer 9"},
    ]


@pytest.mark.parametrize("fetch_size", [1, 3, 10, 1000])
def test_the_size_of_a_round_trip_changes_no_rows(sqlite: Asker, fetch_size: int):
    rows = sqlite.rows("SELECT id FROM faq ORDER BY id", fetch_size=fetch_size)
    assert [row["id"] for row in rows] == list(range(1, 11))


def test_memory_does_not_grow_with_the_rows(sqlite: Asker):
    query = COUNT.format(20_000) + "SELECT i, printf('%.*c', 1000, 'x') AS text FROM n /* ORDER BY: as made */"
    tracemalloc.start()
    try:
        count = sum(1 for _ in sqlite.iterate(query, fetch_size=100))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 10_000_000, "all rows together are twice as large"


WRITING = [
    "DELETE FROM faq",
    "DELETE FROM faq RETURNING id",
    "INSERT INTO faq (question) VALUES ('x')",
    "CREATE TABLE other (id)",
    "DROP TABLE faq",
    "PRAGMA query_only = OFF",
    "PRAGMA journal_mode = WAL",
    "ATTACH 'other.db' AS other",
    "VACUUM INTO 'other.db'",
    "VACUUM",
]


@pytest.mark.parametrize("named", ["path", "url"])
@pytest.mark.parametrize("statement", WRITING)
def test_nothing_is_written(sqlite: Asker, sqlite_file: Path, statement: str, named: str, monkeypatch):
    monkeypatch.chdir(sqlite_file.parent)
    file = sqlite_file.rename("faq.db").absolute()
    before = file.read_bytes()
    error = sqlite.error(f"{statement} -- ORDER BY", **{named: {"path": "faq.db", "url": "sqlite:///faq.db"}[named]})
    assert error.code == "sql.query-failed"
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_of_a_database_of_which_nothing_is_known_nothing_is_committed(sqlite: Asker, sqlite_file: Path, monkeypatch):
    monkeypatch.setattr("lorasdk_sql.database.manners_of", lambda _backend, _driver: Other())
    monkeypatch.chdir(sqlite_file.parent)
    url = f"sqlite:///{sqlite_file.rename('faq.db').absolute()}"
    assert len(sqlite.rows("DELETE FROM faq RETURNING id -- ORDER BY", url=url)) == 10
    assert len(sqlite.rows("SELECT id FROM faq ORDER BY id", url=url)) == 10


def test_a_file_with_a_write_ahead_log_is_left_as_it_was(sqlite: Asker, sqlite_file: Path, tmp_path: Path):
    writer = sqlite3.connect(sqlite_file, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO faq (question) VALUES ('logged')")
    crashed = tmp_path / "crashed.db"  # as a program leaves it that is killed
    shutil.copy(sqlite_file, crashed)
    shutil.copy(f"{sqlite_file}-wal", f"{crashed}-wal")
    writer.close()
    before = crashed.read_bytes()
    assert sqlite.rows("SELECT question FROM faq ORDER BY id DESC", path="crashed.db")[0] == {"question": "logged"}
    assert crashed.read_bytes() == before


def test_json_and_full_text_search_can_be_read(sqlite: Asker, sqlite_file: Path):
    with sqlite3.connect(sqlite_file) as connection:
        connection.execute("CREATE VIRTUAL TABLE search USING fts5(body)")
        connection.execute("INSERT INTO search VALUES ('a needle in the hay'), ('hay')")
    connection.close()
    assert len(sqlite.rows("SELECT body FROM search WHERE search MATCH 'needle' ORDER BY body")) == 1
    assert sqlite.rows("SELECT value AS v FROM json_each('[1, 2]') ORDER BY value") == [{"v": 1}, {"v": 2}]


@pytest.mark.parametrize("how", ["closed", "dropped", "stopped"])
def test_the_connection_is_closed_when_nobody_reads_on(sqlite: Asker, sqlite_file: Path, how: str):
    rows = sqlite.iterate("SELECT id FROM faq ORDER BY id", fetch_size=2)
    next(rows)
    if how == "closed":
        rows.close()
    elif how == "stopped":
        with pytest.raises(StopRequestedError):
            rows.throw(StopRequestedError())
    del rows
    gc.collect()  # an unclosed connection would be an error of the test, and would keep its lock
    with sqlite3.connect(sqlite_file, timeout=0) as connection:
        connection.execute("DELETE FROM faq")
    connection.close()


def test_another_thread_may_read_on(sqlite: Asker):
    rows = sqlite.iterate("SELECT id FROM faq ORDER BY id", fetch_size=1)
    next(rows)
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(rows))
    thread.start()
    thread.join()
    assert len(found) == 9


def test_a_query_that_does_not_end_is_interrupted(sqlite: Asker):
    error = sqlite.error(COUNT.format(10**12) + "SELECT count(*) FROM n ORDER BY 1", timeout=0.05)
    assert error.code == "sql.timeout"
    assert error.problems[0].field == "data.train.timeout"


def test_the_time_that_the_reader_takes_is_not_the_databases(sqlite: Asker):
    rows = sqlite.iterate(COUNT.format(2000) + "SELECT i FROM n /* ORDER BY: as made */", fetch_size=1, timeout=0.05)
    next(rows)
    threading.Event().wait(0.1)
    assert len(list(rows)) == 1999


def test_a_lock_is_waited_for_as_long_as_the_timeout_says(sqlite: Asker, sqlite_file: Path):
    other = sqlite3.connect(sqlite_file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    error = sqlite.error("SELECT id FROM faq ORDER BY id", timeout=0.05)
    other.close()
    assert error.code == "sql.timeout"
    assert "locked" in str(error)


@pytest.mark.parametrize(
    ("name", "why"),
    [("absent.db", "no such SQLite file"), ("~no-such-user/a.db", "no such SQLite file"), (".", "folder")],
)
def test_a_file_that_is_none_is_missed_without_a_connection(sqlite: Asker, name: str, why: str):
    (problem,) = sqlite.check("SELECT 1 ORDER BY 1", path=name)
    assert (problem.code, problem.place, problem.field) == ("sql.no-file", PLACE, "data.train.path")
    assert why in problem.message
    assert problem.found == str((sqlite.folder / name).absolute())


def test_the_file_of_a_url_is_missed_too(sqlite: Asker, tmp_path: Path):
    (problem,) = sqlite.check("SELECT 1 ORDER BY 1", url=f"sqlite:///{tmp_path}/absent.db")
    assert (problem.code, problem.field) == ("sql.no-file", "data.train.url")
    assert not (tmp_path / "absent.db").exists()


def test_what_is_no_database_is_said_so(sqlite: Asker, tmp_path: Path):
    (tmp_path / "text.db").write_text("no database, but a text that is long enough to be looked at\n" * 20)
    error = sqlite.error("SELECT 1 FROM faq ORDER BY 1", path="text.db")
    assert error.code == "sql.query-failed"
    assert "not a database" in str(error)


def test_the_databases_own_message_says_what_is_wrong(sqlite: Asker):
    error = sqlite.error("SELECT nosuch FROM faq ORDER BY 1")
    assert error.code == "sql.query-failed"
    assert "no such column: nosuch" in str(error)
    assert "https://" not in str(error)
    assert error.__cause__ is not None


def test_columns_of_one_name_are_named(sqlite: Asker):
    error = sqlite.error("SELECT a.id, b.id, a.question FROM faq a JOIN faq b USING (id) ORDER BY a.id")
    assert error.code == "sql.duplicate-columns"
    assert error.problems[0].message.endswith(": id")


def test_a_statement_without_rows_is_no_query(sqlite: Asker):
    assert sqlite.error("BEGIN -- ORDER BY").code == "sql.no-result"


def test_a_query_that_finds_nothing_gives_no_rows(sqlite: Asker):
    assert sqlite.rows("SELECT id FROM faq WHERE id > 99 ORDER BY id") == []
