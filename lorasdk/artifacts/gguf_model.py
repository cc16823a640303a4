"""Writes a fine-tuned model as one GGUF file with an Ollama Modelfile beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.artifacts.gguf_architectures import require_exportable
from lorasdk.artifacts.gguf_continued import write_continued
from lorasdk.artifacts.gguf_converted import write_converted
from lorasdk.artifacts.gguf_loading import load_gguf
from lorasdk.artifacts.gguf_modelfile import write_modelfile
from lorasdk.artifacts.gguf_values import type_named
from lorasdk.recipe.schema import GenerationSection

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["load_gguf", "require_exportable", "write_gguf"]


def write_gguf(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    source: Path | None,
    dtype: str,
    name: str,
    chat_template: str | None,
    generation: GenerationSection,
) -> Path:
    """Write ``<name>-<dtype>.gguf`` and ``Modelfile`` into a folder.

    The file is written tensor by tensor; nothing is flushed to the disk's own memory, which is left to the caller.

    Args:
        model: merged, float32, on the CPU.
        tokenizer: of the model.
        folder: exists.
        source: the GGUF file that the base came as: its metadata, tokenizer and every tensor that training left alone
            are taken over byte for byte.
        dtype: ``f32``, ``f16``, ``bf16`` or ``q8_0``: the number format of the written matrices.
        name: of the model.
        chat_template: Jinja; that of `source` or of the tokenizer when not given.
        generation: becomes the Modelfile's parameters.

    Returns:
        The GGUF file.

    Raises:
        AdapterError: the architecture, a setting, the tokenizer or `dtype` is not supported.
        OSError: the disk refuses.
    """
    require_exportable(model.config, source)
    kind = type_named(dtype)
    path = folder / f"{name}-{dtype}.gguf"
    own = tokenizer.chat_template
    template = chat_template or (own if isinstance(own, str) else None)
    if source is None:
        write_converted(model, tokenizer, path, kind=kind, name=name, chat_template=template)
    else:
        write_continued(model, path, source=source, kind=kind, name=name, chat_template=chat_template)
    write_modelfile(folder, start=path.name, tokenizer=tokenizer, chat_template=template, generation=generation)
    return path
