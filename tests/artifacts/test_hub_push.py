"""I102: a push to a model hub, played by a server on this machine; whatever happens, the artefact here stays whole."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shlex
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import TOKEN, Branch, Hub, Repository, serving
from huggingface_hub import constants
from made_passport import made_passport
from pydantic import SecretStr

from lorasdk import AdapterError, LorasdkError, PushResult, ResourceError, push_to_hub
from lorasdk.artifacts.model_card import model_card
from lorasdk.cli import main

WEIGHTS = bytes(range(256)) * 4096
COMMIT = "POST /api/models/anna/tickets/commit/main"
NAMES = ("README.md", "adapter_config.json", "adapter_model.safetensors", "lorasdk.json")


@pytest.fixture
def adapter(tmp_path: Path) -> Iterator[Path]:
    """An adapter's folder; whatever a test does with it, not a byte may change."""
    folder = tmp_path / "an adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(WEIGHTS)
    (folder / "adapter_config.json").write_text('{"r": 8}')
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in NAMES[1:3]}
    passport = made_passport(adapter_sha256=hashes[NAMES[2]], files={NAMES[1]: hashes[NAMES[1]]})
    (folder / "README.md").write_text(model_card(passport, None))
    (folder / "lorasdk.json").write_text(passport.model_dump_json())
    before = contents(folder)
    yield folder
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, tuple[str, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {p.name: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    # Only this machine's own server is reached; nobody's login is found, and no other protocol than HTTP is spoken.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-login"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    with serving() as hub:
        yield hub


def push(hub: Hub, adapter: Path, **changes: object) -> PushResult:
    return push_to_hub(adapter, "anna/tickets", **{"token": TOKEN, "endpoint": hub.endpoint, **changes})


def refused(hub: Hub, adapter: Path, **changes: object) -> LorasdkError:
    with pytest.raises(LorasdkError) as caught:
        push(hub, adapter, **changes)
    return caught.value


def command(hub: Hub, adapter: Path, *options: str) -> str:
    return shlex.join(["lorasdk", "push", str(adapter), "anna/tickets", *options, "--endpoint", hub.endpoint])


def test_a_new_private_repository_gets_all_files_in_one_commit(hub: Hub, adapter: Path):
    result = push(hub, adapter, token=SecretStr(TOKEN))
    repository = hub.repositories["anna/tickets"]
    assert repository.private
    assert hub.commits("anna/tickets") == {name: (adapter / name).read_bytes() for name in NAMES}
    assert sum(asked.startswith(COMMIT) for asked in hub.asked) == 1
    assert result == PushResult(
        repository="anna/tickets",
        url=f"{hub.endpoint}/anna/tickets",
        revision="main",
        commit=repository.branches["main"].sha,
        files=NAMES,
        created=True,
    )


def test_what_merely_lies_in_the_folder_stays_here(hub: Hub, adapter: Path):
    (adapter / ".env").write_text("KEY=secret")
    (adapter / "notes.txt").write_text("customers' names")
    assert push(hub, adapter).files == NAMES
    (adapter / ".env").unlink()
    (adapter / "notes.txt").unlink()


STORING = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")
"""The hub's client hands files to its transport in a way that this one no longer likes."""


@STORING
def test_large_files_go_to_the_store_and_a_cut_is_made_good(hub: Hub, adapter: Path):
    hub.large = frozenset({"adapter_model.safetensors"})
    hub.drops = {"PUT /store/": 1}
    push(hub, adapter)
    assert hub.commits("anna/tickets")["adapter_model.safetensors"] == WEIGHTS
    assert sum(asked.startswith("PUT /store/") for asked in hub.asked) == 2


def test_a_branch_is_made_and_main_is_left_alone(hub: Hub, adapter: Path):
    hub.repositories["anna/tickets"] = Repository()
    result = push(hub, adapter, revision="candidate")
    assert (result.revision, result.created) == ("candidate", False)
    assert hub.commits("anna/tickets") == {}
    assert set(hub.commits("anna/tickets", "candidate")) == set(NAMES)


def test_I102_no_token(hub: Hub, adapter: Path):
    error = refused(hub, adapter, token=None)
    assert (type(error), error.code) == (ResourceError, "hub.push-no-token")
    assert error.problems[0].fix == f"HF_TOKEN=… {command(hub, adapter)}"
    assert hub.asked == []


def test_I102_a_token_that_may_not_write(hub: Hub, adapter: Path):
    error = refused(hub, adapter, token="hf_another")
    assert (type(error), error.code) == (ResourceError, "hub.push-unauthorised")
    assert command(hub, adapter) in error.problems[0].fix
    hub.refusals = {COMMIT: (403, "You have read access only")}
    assert "You have read access only" in str(refused(hub, adapter))


def test_I102_a_repository_with_files_is_not_touched_without_being_told(hub: Hub, adapter: Path):
    files = {"README.md": b"mine", "weights.bin": b"mine"}
    hub.repositories["anna/tickets"] = Repository(branches={"main": Branch("1" * 40, dict(files))})
    error = refused(hub, adapter)
    assert (type(error), error.code) == (AdapterError, "hub.push-in-use")
    assert error.problems[0].found == "README.md, weights.bin"
    assert error.problems[0].fix == f"choose another name, or {command(hub, adapter, '--overwrite')}"
    assert hub.commits("anna/tickets") == files
    push(hub, adapter, overwrite=True)
    kept = hub.commits("anna/tickets")
    assert (kept["weights.bin"], kept["README.md"]) == (b"mine", (adapter / "README.md").read_bytes())


def test_a_new_branch_that_begins_with_files_is_one_with_files(hub: Hub, adapter: Path):
    hub.repositories["anna/tickets"] = Repository(branches={"main": Branch("1" * 40, {"a.txt": b""})})
    assert refused(hub, adapter, revision="candidate").code == "hub.push-in-use"
    assert list(hub.repositories["anna/tickets"].branches) == ["main"]


def test_what_should_be_private_is_not_pushed_where_everybody_looks(hub: Hub, adapter: Path):
    hub.repositories["anna/tickets"] = Repository(private=False)
    error = refused(hub, adapter)
    assert (error.code, hub.commits("anna/tickets")) == ("hub.push-public", {})
    assert error.problems[0].fix == f"choose another name, or {command(hub, adapter, '--public')}"
    assert push(hub, adapter, private=False).files == NAMES


def test_I102_a_connection_that_is_cut_in_the_middle_and_the_same_command_again(hub: Hub, adapter: Path):
    hub.drops = {COMMIT: 1}
    error = refused(hub, adapter)
    assert (type(error), error.code) == (ResourceError, "hub.push-failed")
    assert error.problems[0].fix == f"try again: {command(hub, adapter)}"
    assert hub.commits("anna/tickets") == {}
    assert not push(hub, adapter).created
    assert set(hub.commits("anna/tickets")) == set(NAMES)


def test_a_hub_that_is_not_there(hub: Hub, adapter: Path):
    with serving() as gone:
        pass
    error = refused(hub, adapter, endpoint=gone.endpoint)
    assert (type(error), error.code) == (ResourceError, "hub.push-failed")


def test_a_commit_that_came_meanwhile_is_not_replaced(hub: Hub, adapter: Path):
    hub.repositories["anna/tickets"] = Repository()
    hub.refusals = {COMMIT: (412, "A commit has happened since")}
    error = refused(hub, adapter)
    assert (type(error), error.code) == (AdapterError, "hub.push-changed")
    parent = hub.repositories["anna/tickets"].branches["main"].sha
    hub.refusals.clear()
    push(hub, adapter)
    assert hub.parents == [parent]


def test_offline_is_said_before_anything_is_sent(hub: Hub, adapter: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    error = refused(hub, adapter)
    assert (type(error), error.code, hub.asked) == (ResourceError, "hub.push-offline", [])
    assert error.problems[0].fix.endswith(f"env -u HF_HUB_OFFLINE {command(hub, adapter)}")


def test_an_artefact_that_is_not_whole_is_not_pushed(hub: Hub, adapter: Path):
    path = adapter / "adapter_config.json"
    text, status = path.read_text(), path.stat()
    path.write_text('{"r": 9}')
    assert refused(hub, adapter).code == "verify.changed-file"
    path.write_text(text)
    assert hub.asked == []
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("name", ["a/b/c", "anna/", "anna/ti ckets", "-a/b"])
def test_a_name_that_cannot_be_one(hub: Hub, adapter: Path, name: str):
    with pytest.raises(AdapterError) as caught:
        push_to_hub(adapter, name, token=TOKEN, endpoint=hub.endpoint)
    assert caught.value.code == "hub.push-bad-name"
    assert hub.asked == []


def everything_told(error: BaseException | None) -> Iterator[str]:
    """Errors and what came before them, with all that their frames and they themselves hold."""
    while error is not None:
        yield "".join(traceback.format_exception(error))
        yield repr(vars(error))
        error = error.__cause__ or error.__context__


@STORING
def test_P94_no_secret_is_told(hub: Hub, adapter: Path, caplog: pytest.LogCaptureFixture, capfd):
    """Not the token, though the hub repeats it; nor the address of a store, which is as good as one."""
    caplog.set_level(logging.DEBUG)
    hub.large = frozenset({"adapter_model.safetensors"})
    hub.refusals = {COMMIT: (400, f"{TOKEN} is not what I like")}
    errors = [refused(hub, adapter)]
    hub.store.clear()
    hub.refusals = {"PUT /store/": (403, "the signature of the address is too old")}
    errors.append(refused(hub, adapter))
    assert [error.code for error in errors] == ["hub.push-failed", "hub.push-unauthorised"]
    said = [*(text for error in errors for text in everything_told(error)), *capfd.readouterr()]
    assert [text for text in said if TOKEN in text or "a-signed-address" in text] == []
    # What the transport logs of answers it logs for whoever asked it to.
    logged = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert [text for text in logged if TOKEN in text or "a-signed-address" in text] == []


def test_the_command_pushes_and_says_where(hub: Hub, adapter: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(SystemExit) as ended:
        main(["push", str(adapter), "anna/tickets", "--endpoint", hub.endpoint, "--json"])
    assert ended.value.code == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["url"], told["files"]) == (f"{hub.endpoint}/anna/tickets", list(NAMES))
    with pytest.raises(SystemExit) as ended:
        main(["push", str(adapter), "anna/tickets", "--endpoint", hub.endpoint])
    assert ended.value.code == AdapterError.exit_code
