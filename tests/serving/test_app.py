"""The app inside another, and by itself."""

import subprocess
import sys
import threading

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from serving_on_fakes import Tuner, asking, error, run

from lorasdk.errors import InferenceError
from lorasdk.serving import ServingOptions, create_app, opening
from lorasdk.testing import fake_finetuner

ROWS = [{"prompt": "a", "completion": "b"}]
QUESTION = {"model": "teams", "messages": [{"role": "user", "content": "hi"}]}


def test_an_app_by_itself_opens_at_its_start_and_closes_at_its_end():
    tuner = Tuner()
    for _ in range(2):
        with TestClient(create_app(tuner)) as client:
            assert client.get("/healthz").json() == {"status": "ok", "loaded": True}
            assert client.post("/v1/chat/completions", json=QUESTION).status_code == 200
    assert len(tuner.schedulers) == 2
    left = [thread for thread in threading.enumerate() if thread.name.startswith("lorasdk-")]
    for thread in left:
        thread.join(5)
    assert [thread for thread in left if thread.is_alive()] == []


def test_a_mounted_app_answers_under_its_prefix_and_in_its_own_words():
    host = FastAPI()
    host.mount("/llm", create_app(Tuner(), options=ServingOptions(admin_keys=("k",))))
    client = TestClient(host)
    assert client.get("/llm/healthz").json() == {"status": "ok", "loaded": False}
    assert client.post("/llm/v1/chat/completions", json=QUESTION).status_code == 200
    assert [model["id"] for model in client.get("/llm/v1/models").json()["data"]] == ["m", "teams", "billing"]
    assert error(client.get("/llm/nothing")) == (404, "serving.not-found", None)
    assert client.get("/nothing").json() == {"detail": "Not Found"}
    assert error(client.post("/llm/v1/load_lora_adapter", json={}))[:2] == (401, "serving.no-key")


def test_two_apps_count_for_themselves():
    async def counted():
        async with asking(Tuner()) as first, asking(Tuner()) as second:
            await first.post("/v1/chat/completions", json=QUESTION)
            return [(await client.get("/metrics")).text for client in (first, second)]

    asked, idle = run(counted())
    assert 'lorasdk_requests_total{model="teams",outcome="answered"} 1.0' in asked
    assert "lorasdk_requests_total{" not in idle


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/v1/models/"])
def test_nothing_else_is_served(path):
    client = TestClient(create_app(Tuner()))
    assert client.get(path).status_code == 404


def test_an_address_that_is_asked_in_another_way_says_so():
    response = TestClient(create_app(Tuner())).get("/v1/chat/completions")
    assert error(response)[:2] == (405, "serving.wrong-method")
    assert response.headers["allow"] == "POST"


def test_models_are_base_own_adapter_and_named_ones():
    client = TestClient(create_app(Tuner()))
    base, own, named = client.get("/v1/models").json()["data"]
    assert (base["id"], base["parent"]) == ("m", None)
    assert (own["id"], own["parent"], named["id"]) == ("teams", "m", "billing")
    assert client.get("/v1/models/billing").json() == named
    assert error(client.get("/v1/models/org/nobody")) == (404, "adapter.unknown", "model")


def test_a_tuner_without_an_adapter_of_its_own_serves_none():
    with fake_finetuner({"name": "teams", "data": {"train": "rows.jsonl"}}, data={"train": ROWS}) as tuner:
        client = TestClient(create_app(tuner, options=ServingOptions(base_id="m")))
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["m"]


def test_ids_are_the_operators_choice():
    client = TestClient(create_app(Tuner(), options=ServingOptions(base_id="org/m", adapter_id="a")))
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == ["org/m", "a", "billing"]
    assert client.get("/v1/models/org/m").json()["id"] == "org/m"


def test_base_and_adapter_cannot_have_one_id():
    with pytest.raises(InferenceError) as caught:
        create_app(Tuner(), options=ServingOptions(base_id="teams"))
    assert caught.value.code == "serving.bad-option"


def test_without_the_extra_it_is_said_how_to_get_it():
    with pytest.raises(InferenceError, match=r"lorasdk\[serve\]") as caught:
        opening.require_extra(("fastapi", "no_such_module_anywhere"))
    assert caught.value.code == "serving.not-installed"


def test_importing_it_needs_nothing_of_the_extra():
    program = "import sys, lorasdk.serving; print({'fastapi', 'starlette', 'prometheus_client'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
