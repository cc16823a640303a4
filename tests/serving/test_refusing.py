import pytest

from lorasdk.errors import (
    AdapterError,
    DataError,
    InferenceError,
    LorasdkError,
    ModelError,
    Problem,
    ResourceError,
)
from lorasdk.serving.refusing import body_of, refusal, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InferenceError(Problem("inference.empty-prompt", "m")), 400),
        (DataError(Problem("template.refused", "m")), 400),
        (AdapterError(Problem("adapter.absent", "m")), 422),
        (AdapterError(Problem("adapter.unknown", "m")), 404),
        (ModelError(Problem("model.no-weights", "m")), 422),
        (ResourceError(Problem("memory.exhausted", "m")), 503),
        (InferenceError(Problem("inference.queue-full", "m")), 429),
        (InferenceError(Problem("inference.closed", "m")), 503),
        (LorasdkError(Problem("run.folder", "m")), 500),
    ],
)
def test_each_error_has_a_status(error, status):
    assert status_of(error) == status


def test_the_body_is_openais_with_our_code():
    problem = Problem("recipe.range", "must be at most 100", field="max_new_tokens", allowed="1 to 100", fix="ask less")
    assert body_of(InferenceError(problem)) == {
        "error": {
            "message": "must be at most 100. allowed: 1 to 100. ask less",
            "type": "invalid_request_error",
            "param": "max_tokens",
            "code": "recipe.range",
        }
    }


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("no adapter in /srv/models/a b/x.json", "no adapter in …/a b/x.json"),
        ("cannot read '/home/me/secret/file.bin'", "cannot read '…/file.bin'"),
        ("C:\\models\\x\\file is gone", "…/file is gone"),
        ("~/runs/a/b", "…/b"),
        ("1/2 of and/or", "1/2 of and/or"),
    ],
)
def test_no_path_is_told(message, told):
    assert body_of(LorasdkError(Problem("run.folder", message)))["error"]["message"] == told


def test_what_a_library_said_is_not_told():
    error = InferenceError(Problem("inference.failed", "RuntimeError: the weights of secret", fix="ask again"))
    assert status_of(error) == 500
    assert "secret" not in body_of(error)["error"]["message"]


def test_who_shall_come_back_is_told_when():
    headers = refusal(InferenceError(Problem("inference.queue-full", "m")), retry_after=1.2).headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "1200")
