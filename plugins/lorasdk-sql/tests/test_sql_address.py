import sys
import traceback

import pytest
from lorasdk_sql.address import Address, find_address
from lorasdk_sql.manners import Stopwatch
from lorasdk_sql.waiting import Waiting
from pydantic import SecretStr
from sql_asking import PLACE, Asker
from sqlalchemy.exc import OperationalError

from lorasdk.errors import DataError

QUERY = "SELECT 1 AS a ORDER BY 1"


def refused(asker: Asker, url: str):
    """The one problem of a URL, whose password stands neither in a message nor in a variable of our frames."""
    rows = asker.iterate(QUERY, url=SecretStr(url))
    with pytest.raises(DataError) as caught:
        list(rows)
    told = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in told.stack if "lorasdk_sql" in frame.filename]
    assert ours
    assert "hunter2" not in f"{caught.value}{[frame.locals for frame in ours]}"
    (problem,) = caught.value.problems
    assert (problem.place, problem.field) == (PLACE, "data.train.url")
    return problem


@pytest.mark.parametrize("url", ["hunter2", "postgresql://u:p@h:hunter2/d", "//u:hunter2@h/d"])
def test_what_is_no_url_is_refused_without_being_quoted(sqlite: Asker, url: str):
    assert refused(sqlite, url).code == "sql.bad-url"


@pytest.mark.parametrize("url", ["postgresql+psycopg://u:p@hunter2@h/d", "postgresql+psycopg://u:p@/hunter2@h/d"])
def test_a_password_with_an_unescaped_at_sign_is_refused_before_its_rest_is_taken_for_a_host(sqlite: Asker, url: str):
    problem = refused(sqlite, url)
    assert problem.code == "sql.bad-url"
    assert "%40" in problem.fix


def test_an_unknown_dialect_is_named_and_the_usual_slip_is_known(sqlite: Asker):
    problem = refused(sqlite, "postgres://u:hunter2@h/d")
    assert problem.code == "sql.unknown-dialect"
    assert problem.fix == "write postgresql://"


def test_a_missing_driver_is_named_as_pip_knows_it(sqlite: Asker, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    problem = refused(sqlite, "postgresql+psycopg://u:hunter2@h/d")
    assert problem.code == "sql.missing-driver"
    assert 'pip install "lorasdk-sql[postgres]"' in problem.fix


def test_a_driver_for_asynchronous_programs_is_refused(sqlite: Asker):
    assert refused(sqlite, "postgresql+asyncpg://u:hunter2@h/d").code == "sql.asynchronous-driver"


def address_of(asker: Asker, url: str) -> Address:
    return find_address(asker.options(QUERY, url=SecretStr(url)), asker.context)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://u:hun%2Fter2@h/d", "hun/ter2"),
        ("postgresql://u:hun%2Fter2@h/d", "hun%2Fter2"),
        ("postgresql://u:hun%2Fter2@h/d", "postgresql://u:hun%2Fter2@h/d"),
        ("postgresql://u:hun%5Cter2@h/d", repr("hun\\ter2")),
        ("postgresql://u@h/d?sslpassword=hunter2", "hunter2"),
        ("snowflake://u@h/d?token=hunter2", "hunter2"),
        ("mssql+pyodbc:///?odbc_connect=DRIVER%3Dx%3BUID%3Du%3BPWD%3Dhunter2%3B", "PWD=hunter2"),
    ],
)
def test_every_spelling_of_a_secret_is_masked(sqlite: Asker, url: str, told: str):
    masked = address_of(sqlite, url).hide(f"the driver says {told} to everybody")
    assert "ter2" not in masked
    assert masked.startswith("the driver says ")


def test_the_database_is_named_without_its_password(sqlite: Asker):
    address = address_of(sqlite, "postgresql://reader:hunter2@db.internal:5433/support?sslmode=require")
    assert address.shown == "'support' on db.internal:5433"
    assert "hunter2" not in repr(address)


def nested(message: str) -> OperationalError:
    error = OperationalError("CONNECT", None, RuntimeError("refused"))
    error.__cause__ = RuntimeError("while connecting")
    error.__cause__.__context__ = RuntimeError(message)
    return error


def failed(asker: Asker, error: Exception) -> DataError:
    def work() -> None:
        raise error

    address = address_of(asker, "postgresql://u:hunter2@h/d")
    with pytest.raises(DataError) as caught:
        Waiting(address, Stopwatch(60), asker.context).to_connect(work)
    return caught.value


def test_P94_a_driver_that_tells_the_password_is_masked_and_not_chained(sqlite: Asker):
    told = failed(sqlite, OperationalError("CONNECT", None, RuntimeError("bad DSN password=hunter2")))
    assert "password=***" in str(told)
    assert (told.__cause__, told.__context__) == (None, None)
    assert failed(sqlite, nested("hunter2")).__cause__ is None


def test_a_driver_that_tells_no_secret_is_chained(sqlite: Asker):
    error = nested("no route")
    assert failed(sqlite, error).__cause__ is error
