"""Which chat template renders a conversation, and its hash.

It knows Jinja sources and the tokenizer that carries one; it knows nothing of tokens or masks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.errors import DataError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerBase

BUNDLED = ("alpaca", "chatml", "none")
"""Templates that ship with lorasdk, for tokenizers without one and for data that wants another."""
MAX_FILE_BYTES = 2**20
"""Of a ``.jinja`` file: more than may be compiled."""


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The Jinja source that turns a conversation into the text a model reads."""

    source: str
    """Jinja, rendered in a sandbox of its own, within bounds."""
    origin: str
    """``tokenizer``, ``bundled:NAME`` or ``file:NAME``."""

    @property
    def sha256(self) -> str:
        """Hash of the source: an adapter answers only under the template it was trained with."""
        return hashlib.sha256(self.source.encode()).hexdigest()


def choose_template(
    setting: str, tokenizer: PreTrainedTokenizerBase, *, resolve: Callable[[str], Path] = Path
) -> ChatTemplate:
    """Find the template that the recipe's ``base_model.chat_template`` asks for.

    Args:
        setting: ``auto``, a bundled name, or the path of a ``.jinja`` file.
        tokenizer: gives its own template for ``auto``; without one, the bundled ``alpaca`` template is used.
        resolve: makes a path of the recipe absolute.

    Raises:
        DataError: the file cannot be read, or the tokenizer has neither a template nor an end-of-text token.
    """
    if setting == "auto":
        own = tokenizer.chat_template
        return ChatTemplate(_default_of(own), "tokenizer") if own else bundled_template("alpaca", tokenizer)
    if setting in BUNDLED:
        return bundled_template(setting, tokenizer)
    return _template_file(resolve(setting))


def bundled_template(name: str, tokenizer: PreTrainedTokenizerBase) -> ChatTemplate:
    """Read a template that ships with lorasdk; it ends an answer with the tokenizer's end-of-text token.

    Raises:
        DataError: the tokenizer has no end-of-text token, so an answer could never end.
    """
    if tokenizer.eos_token is None:
        raise DataError(
            Problem(
                code="template.no-end-of-text",
                message=f"the bundled template {name!r} needs an end-of-text token and this tokenizer has none",
                field="base_model.chat_template",
                found="eos_token: null",
                allowed="a tokenizer with eos_token, or a template that ends each answer with a special token",
                fix="set eos_token in tokenizer_config.json, or name a .jinja file in base_model.chat_template",
            )
        )
    source = (files("lorasdk.data") / "templates" / f"{name}.jinja").read_text("utf-8")
    begins = tokenizer("").input_ids[:1]
    if begins and begins[0] == tokenizer.bos_token_id:
        source = "{{- bos_token -}}\n" + source
    return ChatTemplate(source, f"bundled:{name}")


def _default_of(template: str | dict[str, str]) -> str:
    if isinstance(template, str):
        return template
    if "default" in template:
        return template["default"]
    raise DataError(
        Problem(
            code="template.ambiguous",
            message="the tokenizer has several chat templates and none is called 'default'",
            field="base_model.chat_template",
            allowed=", ".join(sorted(template)),
            fix="save the one you want as a .jinja file and name it in base_model.chat_template",
        )
    )


def _template_file(path: Path) -> ChatTemplate:
    try:
        with path.open("rb") as file:  # only as much as can be a template: a device never ends
            source = file.read(MAX_FILE_BYTES).decode("utf-8")
        return ChatTemplate(source, f"file:{path.name}")
    except (OSError, ValueError) as error:
        raise DataError(
            Problem(
                code="template.unreadable",
                message=f"the chat template cannot be read: {error}",
                place=str(path),
                field="base_model.chat_template",
                allowed=f"auto, {', '.join(BUNDLED)}, or a UTF-8 .jinja file",
                fix="correct the path",
            )
        ) from error
