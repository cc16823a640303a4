import hmac

import pytest
from serving_on_fakes import Tuner, asking, chat, error, post, run

from lorasdk.errors import InferenceError
from lorasdk.serving import ServingOptions
from lorasdk.serving.keys import Keys

KEYS = {"api_keys": ("first-key", "second-key"), "admin_keys": ("admin-key",)}


def bearer(key: str):
    return {"Authorization": f"Bearer {key}"}


def test_without_keys_everybody_may_ask():
    assert chat().status_code == 200


@pytest.mark.parametrize("key", ["first-key", "second-key"])
def test_each_key_opens(key):
    assert chat(headers=bearer(key), options=KEYS).status_code == 200


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (None, "serving.no-key"),
        ({"Authorization": "Basic Zmlyc3Qta2V5"}, "serving.no-key"),
        (bearer(""), "serving.no-key"),
        (bearer("first-kez"), "serving.wrong-key"),
        (bearer("admin-key"), "serving.wrong-key"),
        ({"Authorization": b"Bearer first-ke\xff"}, "serving.wrong-key"),
    ],
)
def test_everything_else_does_not(headers, code):
    response = chat(headers=headers, options=KEYS)
    assert error(response)[:2] == (401, code)
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_key_is_asked_for_before_anything_is_read():
    assert error(post("/v1/completions", b"{", **KEYS))[0] == 401


def test_all_digests_are_compared_whichever_fits(monkeypatch):
    compared = []
    real = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(len(a)) or real(a, b))
    assert Keys(["a", "bb", "ccc"]).known("a")
    assert compared == [32, 32, 32]


def test_models_and_metrics_need_a_key_and_health_does_not():
    async def statuses():
        async with asking(Tuner(), **KEYS) as client:
            paths = ["/v1/models", "/v1/models/m", "/metrics", "/healthz"]
            without = [(await client.get(path)).status_code for path in paths]
            admin = (await client.get("/metrics", headers=bearer("admin-key"))).status_code
            with_key = [(await client.get(path, headers=bearer("first-key"))).status_code for path in paths]
            return without, admin, with_key

    assert run(statuses()) == ([401, 401, 401, 200], 200, [200, 200, 200, 200])


def test_keys_stand_in_no_text_of_the_options():
    assert "first-key" not in repr(ServingOptions(**KEYS))


@pytest.mark.parametrize("keys", ["key", ("",), ("two words",), ("schl\u00fcssel",)])
def test_keys_that_no_header_can_hold_are_refused(keys):
    with pytest.raises(InferenceError) as caught:
        ServingOptions(api_keys=keys)
    assert caught.value.code == "serving.bad-option"


def test_bounds_are_above_zero():
    with pytest.raises(InferenceError) as caught:
        ServingOptions(max_rows=0, queue_seconds=-1.0)
    assert [problem.field for problem in caught.value.problems] == ["max_rows", "queue_seconds"]
