"""The model source `gguf`: one GGUF file on this machine."""

from __future__ import annotations

from pathlib import Path

from lorasdk.builtin.reference import resolve_path
from lorasdk.contracts import LocatedModel, SourceRequest
from lorasdk.errors import ModelError, Problem

MAGIC = b"GGUF"


class GgufSource:
    """Finds a ``.gguf`` file; weights and tokenizer are both inside."""

    name = "gguf"
    summary = "a .gguf file"

    def check(self, request: SourceRequest) -> list[Problem]:
        """Say whether the file is absent or does not begin like a GGUF."""
        path = resolve_path(request.reference, request.base_dir)
        what = gguf_fault(path)
        if not what:
            return []
        return [
            Problem(
                code="model.not-a-gguf-file",
                message=f"{what}: {path}",
                place=request.place,
                field="base_model.source",
                found=request.reference,
                allowed="a whole .gguf file",
                fix="correct the path, which is relative to the recipe's folder, or fetch the file again",
            )
        ]

    def locate(self, request: SourceRequest) -> LocatedModel:
        """Give the file; raise `ModelError` when `check` has something to say."""
        problems = self.check(request)
        if problems:
            raise ModelError(*problems)
        path = resolve_path(request.reference, request.base_dir)
        return LocatedModel(path, "gguf", f"{self.name}:{request.reference}")


def gguf_fault(path: Path) -> str:
    """Say what is wrong with the first bytes of a GGUF file; empty when nothing."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(MAGIC))
    except OSError as error:
        return error.strerror or str(error)
    return "" if begins == MAGIC else f"the file begins with {begins!r} instead of {MAGIC!r}"
