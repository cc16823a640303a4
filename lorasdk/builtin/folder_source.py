"""The model source `folder`: a model in transformers' layout on this machine."""

from __future__ import annotations

from lorasdk.builtin.reference import resolve_path
from lorasdk.contracts import LocatedModel, SourceRequest
from lorasdk.errors import ModelError, Problem

CONFIG = "config.json"


class FolderSource:
    """Finds a folder that holds ``config.json``, weights and a tokenizer."""

    name = "folder"
    summary = "a folder in transformers' layout"

    def check(self, request: SourceRequest) -> list[Problem]:
        """Say whether the folder or its configuration is absent."""
        path = resolve_path(request.reference, request.base_dir)
        if (path / CONFIG).is_file():
            return []
        if path.is_dir():
            what = f"the folder has no {CONFIG}"
        else:
            what = "this is a file, not a folder" if path.exists() else "there is no such folder"
        return [
            Problem(
                code="model.not-a-model-folder",
                message=f"{what}: {path}",
                place=request.place,
                field="base_model.source",
                found=request.reference,
                allowed=f"a folder with {CONFIG}, safetensors weights and tokenizer.json",
                fix="correct the path; it is relative to the recipe's folder",
            )
        ]

    def locate(self, request: SourceRequest) -> LocatedModel:
        """Give the folder; raise `ModelError` when `check` has something to say."""
        problems = self.check(request)
        if problems:
            raise ModelError(*problems)
        path = resolve_path(request.reference, request.base_dir)
        return LocatedModel(path, "folder", f"{self.name}:{request.reference}")
