from __future__ import annotations

import pytest
from local_judge import KEY
from lorasdk_judge import JudgeOptions
from pydantic import ValidationError

NEEDED = {"model": "local", "base_url": "https://judge.example/v1"}


def options(**chosen: object) -> JudgeOptions:
    return JudgeOptions.model_validate({**NEEDED, **chosen})


@pytest.mark.parametrize(
    "url", ["https://judge.example/v1", "http://localhost:8000/v1", "http://127.0.0.1/v1", "http://[::1]:8000/v1"]
)
def test_addresses_that_are_safe(url: str) -> None:
    assert options(base_url=f"{url}/").base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://judge.example/v1",
        "http://localhost.evil.example/v1",
        "ftp://localhost/v1",
        "judge.example/v1",
        "https:///v1",
        "https://judge..example/v1",
        f"https://{'j' * 64}.example/v1",
        "https://jud ge.example/v1",
        "https://user:password@judge.example/v1",
        "https://judge.example/v1?key=password",
        "https://judge.example:many/v1",
        "https://[judge/v1",
    ],
)
def test_addresses_that_are_not(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        options(base_url=url)

    assert "password" not in str(caught.value).replace("no user, password", "")


@pytest.mark.parametrize("key", [f"{KEY}\n", "", "sk-ключ", f"{KEY} "])
def test_a_key_that_fits_into_no_header_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValidationError, match="visible ASCII") as caught:
        options(api_key=key)

    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "proxy", ["socks5://proxy.example", "proxy.elsewhere:3128", "http://me:pa[ss@", "http://a b", "http://:3128/"]
)
def test_a_proxy_that_is_none_is_refused_and_not_shown(proxy: str) -> None:
    with pytest.raises(ValidationError) as caught:
        options(proxy=proxy)

    assert proxy not in str(caught.value)


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        ({"rubric": "a", "rubric_file": "b"}, "rubric_file"),
        ({"lowest": 5}, "highest"),
        ({"highest": 102}, "highest"),
        ({"input_price": 1.0}, "output_price"),
        ({"output_price": 1.0}, "output_price"),
        ({"max_cost": 1.0}, "max_cost"),
        ({"timeout": float("nan")}, "timeout"),
        ({"attempts": 0}, "attempts"),
        ({"max_parallel": True}, "max_parallel"),
        ({"retries": 3}, "retries"),
    ],
)
def test_options_that_contradict_themselves(chosen: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        options(**chosen)

    assert [detail["loc"] for detail in caught.value.errors()] == [(field,)]


def test_secrets_are_not_shown() -> None:
    shown = repr(options(api_key=KEY, proxy="http://me:password@proxy.example"))

    assert KEY not in shown
    assert "password" not in shown


def test_every_option_is_documented() -> None:
    assert all(field.description for field in JudgeOptions.model_fields.values())
