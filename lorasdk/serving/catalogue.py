"""Which models there are, under which ids."""

from __future__ import annotations

import hashlib
import re
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from lorasdk.asking import AdapterChoice
from lorasdk.errors import AdapterError, InferenceError, Problem
from lorasdk.serving.options import ServingOptions
from lorasdk.serving.servable import Servable


class Catalogue:
    """The base model, the tuner's own adapter, and those that were given names."""

    def __init__(self, tuner: Servable, options: ServingOptions) -> None:
        """Take the names in.

        Raises:
            InferenceError: base model and adapter would have the same.
        """
        recipe = tuner.recipe
        self._tuner, self._created = tuner, int(time.time())
        self.base_id = options.base_id or _last_part(recipe.base_model.source)
        self.adapter_id = options.adapter_id or recipe.name
        self._fingerprint = hashlib.sha256(f"{_version()} {recipe.fingerprint}".encode()).hexdigest()
        if self.base_id == self.adapter_id:
            message = "base model and adapter would have the same id"
            raise InferenceError(Problem("serving.bad-option", message, field="base_id", found=self.base_id))

    def ids(self) -> list[str]:
        """All of them; may wait for an adapter that is being loaded."""
        own = [self.adapter_id] if self._tuner.adapter_dir is not None else []
        return [self.base_id, *own, *(adapter.name for adapter in self._tuner.adapters.list())]

    def entries(self) -> list[dict[str, Any]]:
        """All of them as the protocol has it."""
        return [self._entry(model) for model in self.ids()]

    def entry(self, model: str) -> dict[str, Any]:
        """One of them.

        Raises:
            AdapterError: there is no such model.
        """
        self._require(model)
        return self._entry(model)

    def choice(self, model: str) -> AdapterChoice:
        """Who answers under this id.

        Raises:
            AdapterError: there is no such model.
        """
        self._require(model)
        if model == self.base_id:
            return False
        return True if model == self.adapter_id else model

    def require_free(self, name: str) -> None:
        """Insist on a name that is not one of the tuner's own.

        Raises:
            AdapterError: it is.
        """
        if name in {self.base_id, self.adapter_id}:
            raise AdapterError(Problem("serving.name-taken", "this name is taken", field="lora_name", found=name))

    def fingerprint(self, model: str) -> str:
        """A word that is another one when library, recipe or a named adapter is another one."""
        created = next((adapter.created for adapter in self._tuner.adapters.list() if adapter.name == model), "")
        return "fp_" + hashlib.sha256(f"{self._fingerprint} {model} {created}".encode()).hexdigest()[:12]

    def _entry(self, model: str) -> dict[str, Any]:
        parent = None if model == self.base_id else self.base_id
        return {"id": model, "object": "model", "created": self._created, "owned_by": "lorasdk", "parent": parent}

    def _require(self, model: str) -> None:
        ids = self.ids()
        if model not in ids:
            raise AdapterError(
                Problem("adapter.unknown", "there is no such model here", field="model", allowed=", ".join(ids))
            )


def _last_part(source: str) -> str:
    """A name that tells neither a folder of this machine nor a kind of file."""
    return re.split(r"[/\\:]", source.rstrip("/\\"))[-1].removesuffix(".gguf")


def _version() -> str:
    try:
        return version("lorasdk")
    except PackageNotFoundError:
        return "unknown"
