import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from lorasdk.builtin.hub_loader import HubLoader, HubOptions
from lorasdk.contracts import LoadContext
from lorasdk.errors import DataError


def context(folder: Path) -> LoadContext:
    return LoadContext(folder, "recipe.yaml:3:5", "train", lambda _problem: None)


def fail_with(monkeypatch, error: Exception):
    import datasets

    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_local_folder_gives_its_rows_in_silence(tmp_path: Path, monkeypatch, capfd, streaming: bool):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "mine").mkdir()
    rows = [{"instruction": str(i), "output": "b"} for i in range(3)]
    (tmp_path / "mine" / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    options = HubOptions(dataset="mine", streaming=streaming)
    assert list(HubLoader().load(options, context(tmp_path))) == rows
    assert capfd.readouterr() == ("", "")


def test_a_local_folder_may_hold_parquet(tmp_path: Path, monkeypatch):
    import pyarrow as pa
    from pyarrow import parquet

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "mine").mkdir()
    rows = [{"instruction": "q", "output": "a"}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "mine" / "train.parquet")
    assert list(HubLoader().load(HubOptions(dataset="mine"), context(tmp_path))) == rows


def test_the_progress_bars_of_the_host_are_left_as_they_were(tmp_path: Path, monkeypatch):
    from datasets.utils import are_progress_bars_disabled

    fail_with(monkeypatch, ConnectionError("no network"))
    before = are_progress_bars_disabled()
    with pytest.raises(DataError):
        list(HubLoader().load(HubOptions(dataset="org/name"), context(tmp_path)))
    assert are_progress_bars_disabled() == before


def failed(error: Exception, cause: Exception | None = None) -> Exception:
    error.__cause__ = cause
    return error


def hub_error(kind: str) -> Exception:
    from huggingface_hub import errors

    return getattr(errors, kind)("refused", response=SimpleNamespace(headers={}, request=None))


def refused(folder: Path, **options: object):
    with pytest.raises(DataError) as caught:
        list(HubLoader().load(HubOptions.model_validate({"dataset": "org/name", **options}), context(folder)))
    return caught.value.problems[0]


def test_failures_have_distinct_hints_and_name_the_recipe_line(tmp_path: Path, monkeypatch):
    from datasets.exceptions import DatasetNotFoundError

    # As `datasets` raises them: one kind for absent, gated and unknown revision, told apart by the cause alone.
    failures = {
        "network": ConnectionError("Couldn't reach the Hub"),
        "spelling": failed(DatasetNotFoundError("doesn't exist"), hub_error("RepositoryNotFoundError")),
        "terms": failed(DatasetNotFoundError("is a gated dataset"), hub_error("GatedRepoError")),
        "revision": failed(DatasetNotFoundError("Revision doesn't exist"), hub_error("RevisionNotFoundError")),
        "config": ValueError("Unknown split"),
    }
    for word, error in failures.items():
        fail_with(monkeypatch, error)
        problem = refused(tmp_path)
        assert (problem.code, problem.place) == ("data.hub-unavailable", "recipe.yaml:3:5")
        assert word in problem.fix


def test_offline_the_hint_is_the_network(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    assert "network" in refused(tmp_path).fix


def test_an_empty_folder_is_told_to_hold_files(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    (tmp_path / "mine").mkdir()
    assert "put data files" in refused(tmp_path, dataset="mine").fix


def test_a_failure_after_some_rows_is_translated_too(tmp_path: Path, monkeypatch):
    def some_rows(*_args, **_kwargs):
        yield {"instruction": "q", "output": "a"}
        raise ConnectionError("the line is dead")

    monkeypatch.setattr("datasets.load_dataset", some_rows)
    rows = HubLoader().load(HubOptions(dataset="org/name", streaming=True), context(tmp_path))
    assert next(iter(rows))["output"] == "a"
    assert "network" in refused(tmp_path, streaming=True).fix


def test_options_reach_the_library_and_code_is_never_trusted(tmp_path: Path, monkeypatch):
    calls = []
    monkeypatch.setattr("datasets.load_dataset", lambda *args, **kwargs: calls.append((args, kwargs)) or [])
    options = {"dataset": "org/name", "config": "de", "split": "train[:1%]", "revision": "v1", "token": "secret"}
    list(HubLoader().load(HubOptions.model_validate(options), context(tmp_path)))
    [(args, kwargs)] = calls
    assert args == ("org/name", "de")
    assert kwargs == {"split": "train[:1%]", "revision": "v1", "streaming": False, "token": "secret"}
