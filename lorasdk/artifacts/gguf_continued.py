"""Writes a fine-tuned model as the GGUF file that its base came as, but for the tensors that training changed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from gguf import MODEL_TENSOR, TENSOR_NAMES, GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, Keys

from lorasdk.artifacts.gguf_file import PlannedTensor, planned, readable_name, taken_over, write_file
from lorasdk.artifacts.gguf_layout import Layout
from lorasdk.artifacts.gguf_tokenizer import end_of_turn
from lorasdk.artifacts.gguf_values import decoded
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from gguf.gguf_reader import ReaderField
    from transformers import PreTrainedModel

EMBEDDING, OUTPUT = (f"{TENSOR_NAMES[kind]}.weight" for kind in (MODEL_TENSOR.TOKEN_EMBD, MODEL_TENSOR.OUTPUT))
SHOWN = 3


def write_continued(
    model: PreTrainedModel,
    path: Path,
    *,
    source: Path,
    kind: GGMLQuantizationType,
    name: str,
    chat_template: str | None,
) -> None:
    """Write `path`: metadata, tokenizer and unchanged tensors of `source` byte for byte, changed tensors of `model`.

    Args:
        model: merged, float32, on the CPU.
        path: is made.
        source: the base model's GGUF file.
        kind: number format of the changed matrices.
        name: goes into ``general.name``.
        chat_template: replaces the file's, if given.

    Raises:
        AdapterError: the model has another vocabulary than the file, or either has a tensor that the other has no
            place for.
    """
    reader = GGUFReader(source)
    tensors = list(_tensors(model, reader, kind))
    writer = GGUFWriter(None, reader.fields[Keys.General.ARCHITECTURE].contents())
    own = {Keys.General.NAME: readable_name(name)}
    if chat_template:
        own[Keys.Tokenizer.CHAT_TEMPLATE] = chat_template
    for field in reader.fields.values():
        _take_over(field, writer, own)
    _add_end_of_turn(writer, model, reader)
    for key, text in own.items():
        writer.add_key_value(key, text, GGUFValueType.STRING)
    write_file(path, writer, tensors)


def _add_end_of_turn(writer: GGUFWriter, model: PreTrainedModel, reader: GGUFReader) -> None:
    """Where answers were trained to end otherwise than the file says."""
    end_of_text = reader.fields.get(Keys.Tokenizer.EOS_ID)
    last = end_of_turn(model.generation_config, end_of_text.contents() if end_of_text else None)
    if last is not None and Keys.Tokenizer.EOT_ID not in reader.fields:
        writer.add_eot_token_id(last)


def _take_over(field: ReaderField, writer: GGUFWriter, own: dict[str, str]) -> None:
    # The reader shows the header's three numbers as fields too; the writer has its own of them.
    if field.name.startswith("GGUF.") or field.name == Keys.General.ARCHITECTURE or field.name in own:
        return
    if field.name == Keys.General.ALIGNMENT:
        writer.add_custom_alignment(field.contents())
        return
    kind, inner = field.types[0], field.types[-1]
    if kind != GGUFValueType.ARRAY:
        writer.add_key_value(field.name, _value(field, -1, kind), kind)
    elif field.data:
        writer.add_key_value(field.name, [_value(field, part, inner) for part in field.data], kind, sub_type=inner)


def _value(field: ReaderField, part: int, kind: GGUFValueType) -> Any:  # noqa: ANN401 - a number or a text's bytes
    """One value; of texts the bytes, since a token need not be UTF-8."""
    values = field.parts[part]
    return values.tobytes() if kind == GGUFValueType.STRING else values.tolist()[0]


def _tensors(model: PreTrainedModel, reader: GGUFReader, kind: GGMLQuantizationType) -> Iterator[PlannedTensor]:
    layout = Layout.of(model.config)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    names = {layout.file_name(name): name for name in model.state_dict()}
    values = model.state_dict()
    _require_vocabulary(values[names[EMBEDDING]], stored[EMBEDDING].shape.tolist()[-1])
    _require_known(stored.keys() - names.keys(), layout)
    for file_name, tensor in stored.items():
        name = names[file_name]
        if torch.equal(layout.from_file(name, decoded(tensor)), values[name].float()):
            yield taken_over(tensor)
        else:
            yield planned(file_name, values[name].shape, kind, partial(layout.to_file, name, values[name]))
    for file_name, name in names.items():
        tied = file_name == OUTPUT and torch.equal(values[name], values[names[EMBEDDING]])
        if file_name not in stored and not tied:
            yield planned(file_name, values[name].shape, kind, partial(layout.to_file, name, values[name]))


def _require_known(left_unread: set[str], layout: Layout) -> None:
    """A tensor that transformers left unread makes the file another model in llama.cpp than the one that was tuned."""
    if not left_unread:
        return
    raise AdapterError(
        Problem(
            code="export.unsupported-tensor",
            message="the base model's GGUF file has tensors that transformers does not read: the model that was "
            "trained and measured is not the one that llama.cpp would run",
            field="base_model.source",
            found=", ".join(sorted(left_unread)[:SHOWN]),
            allowed=f"the tensors that transformers knows of the architecture {layout.architecture.name!r}",
            fix="train on the model's original safetensors weights",
        )
    )


def _require_vocabulary(embedding: torch.Tensor, tokens: int) -> None:
    if embedding.shape[0] == tokens:
        return
    raise AdapterError(
        Problem(
            code="export.vocabulary",
            message=f"the model knows {embedding.shape[0]:,} tokens and its base's GGUF file {tokens:,}; the file's "
            "tokenizer cannot be extended",
            field="format",
            found=f"{embedding.shape[0]} tokens",
            allowed=f"{tokens} tokens",
            fix='export with format="merged"',
        )
    )
