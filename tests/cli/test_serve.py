"""What `lorasdk serve` refuses before it loads anything."""

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from lorasdk.cli import main
from lorasdk.cli.serve import _only_for_this_machine
from lorasdk.cli.server_keys import keys_from
from lorasdk.errors import InferenceError
from lorasdk.serving import create_app
from lorasdk.testing import fake_finetuner


def refused(capsys, *arguments: object) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["serve", *map(str, arguments)])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_other_machines_are_not_let_in_without_keys(capsys):
    told = refused(capsys, "no-such-adapter", "--host", "0.0.0.0")
    assert "serving.open-to-all" in told
    assert "--api-key-file" in told


def test_an_adapter_has_a_name_and_a_path(capsys):
    assert "serving.bad-adapter" in refused(capsys, "no-such-adapter", "--adapter", "billing")


def test_without_the_extra_it_says_how_to_get_it(capsys, monkeypatch):
    monkeypatch.setattr("lorasdk.cli.serve.NEEDED", ("no_such_module",))
    assert 'pip install "lorasdk[serve]"' in refused(capsys, "no-such-adapter")


def test_keys_come_from_files_and_variables(tmp_path: Path, monkeypatch):
    file = tmp_path / "keys"
    file.write_text("# of the team\nfirst\n\n second \n")
    monkeypatch.setenv("MORE", "third")
    assert keys_from([file], ["MORE"], kind="api") == ("first", "second", "third")
    assert keys_from([], [], kind="api") == ()


def test_a_place_without_a_key_is_an_error_and_not_an_open_door(tmp_path: Path, monkeypatch):
    (tmp_path / "empty").write_text("# nobody\n")
    monkeypatch.setenv("EMPTY", " ")
    for files, variables in [([tmp_path / "empty"], []), ([tmp_path / "none"], []), ([], ["EMPTY"]), ([], ["ABSENT"])]:
        with pytest.raises(InferenceError) as caught:
            keys_from(files, variables, kind="api")
        assert caught.value.code == "serving.unreadable-keys"


@pytest.mark.parametrize(
    ("name", "status"),
    [("127.0.0.1:8000", 200), ("localhost", 200), ("[::1]:8000", 200), ("rebound.example", 400), ("", 400)],
)
def test_without_keys_only_requests_that_name_this_machine_are_answered(name: str, status: int):
    app = create_app(fake_finetuner({"name": "teams"}, data={"train": [{"prompt": "a", "completion": "b"}]}))
    _only_for_this_machine(app)
    assert TestClient(app).get("/healthz", headers={"Host": name}).status_code == status
