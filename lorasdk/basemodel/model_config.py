"""Reads a base model's configuration without its weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transformers import AutoConfig

from lorasdk.basemodel.loading import REFUSALS
from lorasdk.basemodel.model_files import require_loadable
from lorasdk.basemodel.quiet import quiet
from lorasdk.errors import ModelError, Problem

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def read_model_config(folder: Path, *, trust_remote_code: bool) -> PretrainedConfig:
    """The configuration of a model in transformers' layout.

    Raises:
        ModelError: the folder is no model that can be loaded.
    """
    require_loadable(folder, trust_remote_code=trust_remote_code)
    with quiet():
        try:
            return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
        except REFUSALS as error:
            problem = Problem(
                code="model.refused",
                message=f"transformers cannot read its configuration: {error}",
                place=str(folder),
                field="base_model.source",
                fix="use a causal language model whose architecture the installed transformers knows",
            )
            raise ModelError(problem) from error
