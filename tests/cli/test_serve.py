"""What `lorasdk serve` refuses before it loads anything."""

from pathlib import Path

import pytest

from lorasdk.cli import main
from lorasdk.cli.server_keys import keys_from
from lorasdk.errors import InferenceError


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
