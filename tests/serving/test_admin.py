"""Adapters come and go while the server runs."""

from pathlib import Path

import pytest
from serving_on_fakes import Tuner, asking, error, run

ADMIN = {"Authorization": "Bearer admin-key"}
LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "legal").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "root"


def ask(path: str, body, *, headers=ADMIN, tuner: Tuner | None = None, **options):
    async def post():
        async with asking(tuner or Tuner(), **{"admin_keys": ("admin-key",), **options}) as client:
            return await client.post(path, json=body, headers=headers)

    return run(post())


def test_an_adapter_is_loaded_replaced_and_unloaded(root):
    async def in_turn():
        tuner = Tuner()
        async with asking(tuner, admin_keys=("admin-key",), adapters_root=root) as client:
            body = {"lora_name": "legal", "lora_path": "legal"}
            first = await client.post(LOAD, json=body, headers=ADMIN)
            again = await client.post(LOAD, json=body, headers=ADMIN)
            replaced = await client.post(LOAD, json={**body, "load_inplace": True}, headers=ADMIN)
            listed = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
            gone = await client.post(UNLOAD, json={"lora_name": "legal"}, headers=ADMIN)
            unknown = await client.post(UNLOAD, json={"lora_name": "legal"}, headers=ADMIN)
            return first, again, replaced, listed, gone, unknown

    first, again, replaced, listed, gone, unknown = run(in_turn())
    assert (first.status_code, first.text) == (200, "Success: LoRA adapter 'legal' added successfully.")
    assert error(again)[:2] == (422, "adapter.name-taken")
    assert replaced.status_code == 200
    assert "legal" in listed
    assert gone.status_code == 200
    assert error(unknown)[:2] == (404, "adapter.unknown")


@pytest.mark.parametrize("path", ["../elsewhere", "link", ".", "/etc", "\0"])
def test_a_path_out_of_the_root_is_refused(root, path):
    response = ask(LOAD, {"lora_name": "x", "lora_path": path}, adapters_root=root)
    assert error(response) == (403, "serving.path-outside", "lora_path")


def test_an_absolute_path_inside_the_root_is_one_of_its_folders(root):
    assert ask(LOAD, {"lora_name": "x", "lora_path": str(root / "legal")}, adapters_root=root).status_code == 200


def test_where_the_server_keeps_its_files_is_not_told(root):
    response = ask(LOAD, {"lora_name": "x", "lora_path": "nothing"}, adapters_root=root)
    assert error(response)[:2] == (422, "adapter.absent")
    assert str(root) not in response.text
    assert "nothing" in response.text


def test_without_a_root_nothing_is_loaded():
    assert error(ask(LOAD, {"lora_name": "x", "lora_path": "legal"}))[:2] == (403, "serving.loading-off")


def test_the_names_of_base_and_own_adapter_are_not_given_away(root):
    for name in ("m", "teams"):
        response = ask(LOAD, {"lora_name": name, "lora_path": "legal"}, adapters_root=root)
        assert error(response)[:2] == (422, "serving.name-taken")


@pytest.mark.parametrize("headers", [None, {"Authorization": "Bearer api-key"}])
def test_other_keys_do_not_open_it(headers):
    response = ask(UNLOAD, {"lora_name": "billing"}, headers=headers, api_keys=("api-key",))
    assert response.status_code == 401


def test_without_an_admin_key_it_does_not_exist():
    assert error(ask(UNLOAD, {"lora_name": "billing"}, admin_keys=()))[:2] == (404, "serving.not-found")


@pytest.mark.parametrize("body", [{}, {"lora_name": "a b", "lora_path": "legal"}, {"lora_name": "x"}])
def test_malformed_orders_are_refused(root, body):
    assert ask(LOAD, body, adapters_root=root).status_code == 400
