"""What a recipe may say to `llm_judge`. Nothing of it is read from the environment, except secrets that it names."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, Strict, ValidationInfo, field_validator

WIDEST_SCALE = 100
"""Steps from the lowest to the highest score: each score is listed to the endpoint."""

_NAME = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?", re.ASCII)

Text: TypeAlias = Annotated[str, Strict(), Field(min_length=1)]
Whole: TypeAlias = Annotated[int, Strict()]
Number: TypeAlias = Annotated[float, Strict()]
Price: TypeAlias = Annotated[Number, Field(ge=0)]


class JudgeOptions(BaseModel):
    """Options of `llm_judge`."""

    # Inputs are hidden because pydantic's own messages would quote a key that stands in the wrong place. Defaults are
    # validated because some fields are judged by others.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    model: Text
    """The judging model, as its endpoint calls it."""
    base_url: Text
    """Where the endpoint's paths begin, such as `https://api.openai.com/v1`; plain http only on this machine."""
    api_key: SecretStr | None = None
    """Key of the endpoint, written as `${env:NAME}`; nothing is sent when left out, as local servers like it."""
    proxy: SecretStr | None = None
    """Address of an HTTP proxy, written as `${env:NAME}` since it may hold a password; none when left out."""
    rubric: Text | None = None
    """What a good answer is, in words; a rubric of the package when this and `rubric_file` are left out."""
    rubric_file: Text | None = None
    """A text file (UTF-8) with the rubric, relative to the recipe's folder; instead of `rubric`."""
    lowest: Whole = 1
    """Score of the worst answer, which becomes 0."""
    highest: Whole = 5
    """Score of the best answer, which becomes 1; at most 100 above `lowest`."""
    show_reference: Annotated[bool, Strict()] = True
    """Whether the judge sees the row's reference answer."""
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = 0.0
    """Of the judge's sampling; `null` sends none, for models that take only their own."""
    seed: Annotated[Whole, Field(ge=0, lt=2**63)] | None = None
    """Of the judge's sampling; sent only when given, for some endpoints refuse it."""
    structured_output: Annotated[bool, Strict()] = True
    """Have the endpoint enforce the verdict's form; one that refuses to is asked for plain text by itself."""
    max_parallel: Annotated[Whole, Field(ge=1, le=64)] = 4
    """Requests under way at a time."""
    timeout: Annotated[Number, Field(gt=0, le=3600)] = 60.0
    """Seconds that an endpoint may stay silent before a request has failed."""
    attempts: Annotated[Whole, Field(ge=1, le=10)] = 5
    """Times that a request is sent before a busy, failing or silent endpoint is an error."""
    input_price: Price | None = None
    """Price of a million tokens that the judge reads, in any currency; tokens are only counted when left out."""
    output_price: Price | None = None
    """Price of a million tokens that the judge writes, in the same currency."""
    max_cost: Annotated[Number, Field(gt=0)] | None = None
    """No request is sent any more once scoring one model has cost this much, in the unit of the prices."""
    cache: Annotated[bool, Strict()] = True
    """Keep verdicts in the user's cache folder and ask no question twice."""

    @field_validator("base_url")
    @classmethod
    def _reachable_safely(cls, value: str) -> str:
        url = _split(value)
        if not _is_visible(value) or not _is_host(url.hostname or ""):
            raise ValueError("must be an address such as https://api.example/v1")
        if url.scheme != "https" and not (url.scheme == "http" and _is_this_machine(url.hostname or "")):
            raise ValueError("must be an https address; plain http only for localhost, 127.0.0.1 or [::1]")
        if url.username is not None or url.password is not None or url.query or url.fragment:
            raise ValueError("must hold no user, password, query or fragment; a credential belongs in api_key")
        return value.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _fits_into_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_visible(value.get_secret_value()):
            raise ValueError("must consist of visible ASCII characters; does the variable end in a line break?")
        return value

    @field_validator("proxy")
    @classmethod
    def _is_a_proxy(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        address = value.get_secret_value()
        url = _split(address)
        if not _is_visible(address) or url.scheme not in {"http", "https"} or not _is_host(url.hostname or ""):
            raise ValueError("must be an address such as http://proxy.example:3128")
        return value

    @field_validator("rubric_file")
    @classmethod
    def _only_rubric(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("rubric") is not None:
            raise ValueError("rubric and rubric_file must not be given together; delete one of them")
        return value

    @field_validator("highest")
    @classmethod
    def _above_lowest(cls, value: int, info: ValidationInfo) -> int:
        lowest = info.data.get("lowest", value - 1)
        if not lowest < value <= lowest + WIDEST_SCALE:
            raise ValueError(f"highest must be above lowest ({lowest}), and at most {WIDEST_SCALE} above it")
        return value

    @field_validator("output_price")
    @classmethod
    def _both_prices(cls, value: float | None, info: ValidationInfo) -> float | None:
        if "input_price" in info.data and (value is None) != (info.data["input_price"] is None):
            raise ValueError("input_price and output_price must be given together, or neither of them")
        return value

    @field_validator("max_cost")
    @classmethod
    def _countable(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and None in (info.data.get("input_price", 0.0), info.data.get("output_price", 0.0)):
            raise ValueError("max_cost needs input_price and output_price, without which no cost is known")
        return value


def _split(address: str) -> SplitResult:
    try:
        url = urlsplit(address)
        _ = url.port  # raises where it is none
    except ValueError:
        # Not chained: urlsplit quotes what it was given, and a proxy's address may hold a password.
        raise ValueError("must be a valid address") from None
    return url


def _is_host(host: str) -> bool:
    """Whether it can be looked up at all; what cannot would fail in the resolver, with an error of its own."""
    return _NAME.fullmatch(host) is not None or _is_number(host)


def _is_this_machine(host: str) -> bool:
    return ip_address(host).is_loopback if _is_number(host) else host == "localhost"


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_visible(text: str) -> bool:
    return bool(text) and all("!" <= letter <= "~" for letter in text)
