"""Writes the file that makes a model of Ollama out of a GGUF file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.artifacts.gguf_chatml import chatml_system
from lorasdk.recipe.schema import GenerationSection

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE_NAME = "Modelfile"
CHATML = """\
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
"""ChatML in the language of Ollama's templates, which is that of Go."""
ELSEWHERE = """\
# FROM names the base model: its GGUF file, which has to lie here, or a model that Ollama has.
"""
CARRIED = """\
# The GGUF file carries the chat template. Ollama recognises those of the families that it knows; what it made of this
# one shows `ollama show --template`. If that is not it, write it here, as a TEMPLATE in the language of Go's templates.
"""


def write_modelfile(
    folder: Path,
    *,
    start: str,
    tokenizer: PreTrainedTokenizerBase,
    chat_template: str | None,
    generation: GenerationSection,
    adapter: str = "",
) -> Path:
    """Write ``Modelfile`` into a folder.

    Args:
        folder: holds the files that are named.
        start: what to put behind ``FROM``.
        tokenizer: renders `chat_template`, to see whether it is ChatML.
        chat_template: Jinja, if the model has one.
        generation: becomes parameters.
        adapter: what to put behind ``ADAPTER``.
    """
    parts = [
        *([ELSEWHERE] if adapter else []),
        f"FROM ./{start}\n" + (f"ADAPTER ./{adapter}\n" if adapter else ""),
        *_template(tokenizer, chat_template),
        "\n".join(_parameters(generation)) + "\n",
    ]
    path = folder / FILE_NAME
    path.write_text("\n".join(parts), encoding="utf-8", newline="\n")
    return path


def _template(tokenizer: PreTrainedTokenizerBase, chat_template: str | None) -> Iterator[str]:
    system = chatml_system(tokenizer, chat_template)
    if system is None:
        yield CARRIED
        return
    yield f'TEMPLATE """{CHATML}"""\n'
    if system:
        yield f'SYSTEM """{system}"""\n'


def _parameters(generation: GenerationSection) -> Iterator[str]:
    """Ollama has defaults of its own, so what is off here is said to be off."""
    yield f"PARAMETER temperature {generation.temperature:g}"
    yield f"PARAMETER top_p {generation.top_p:g}"
    yield f"PARAMETER top_k {generation.top_k or 0}"
    yield f"PARAMETER repeat_penalty {generation.repetition_penalty:g}"
    yield f"PARAMETER num_predict {generation.max_new_tokens}"
    yield f"PARAMETER seed {generation.seed}"
    for stop in generation.stop:
        # In these quotes all is taken as it stands, line breaks too; Ollama knows no escapes.
        yield f'PARAMETER stop """{stop}"""' if '"""' not in stop else f"# stop {stop!r} cannot be written here"
