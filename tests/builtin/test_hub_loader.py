import json
from pathlib import Path

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


def test_the_progress_bars_of_the_host_are_left_as_they_were(tmp_path: Path, monkeypatch):
    from datasets.utils import are_progress_bars_disabled

    fail_with(monkeypatch, ConnectionError("no network"))
    before = are_progress_bars_disabled()
    with pytest.raises(DataError):
        list(HubLoader().load(HubOptions(dataset="org/name"), context(tmp_path)))
    assert are_progress_bars_disabled() == before


def test_failures_have_distinct_hints_and_name_the_recipe_line(tmp_path: Path, monkeypatch):
    from datasets.exceptions import DatasetNotFoundError

    hints = set()
    for error in (ConnectionError("no network"), DatasetNotFoundError("absent"), ValueError("no such split")):
        fail_with(monkeypatch, error)
        with pytest.raises(DataError) as caught:
            list(HubLoader().load(HubOptions(dataset="org/name"), context(tmp_path)))
        problem = caught.value.problems[0]
        assert (problem.code, problem.place) == ("data.hub-unavailable", "recipe.yaml:3:5")
        hints.add(problem.fix)
    assert len(hints) == 3
