"""``gguf`` and ``gguf-adapter``: what llama.cpp and Ollama read, the model whole or the adapter alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lorasdk.artifacts.export_passport import MergingPart
from lorasdk.artifacts.exportable import Exportable, Written
from lorasdk.artifacts.gguf_adapter import load_gguf_adapter, write_gguf_adapter
from lorasdk.artifacts.gguf_model import load_gguf, require_exportable, write_gguf
from lorasdk.artifacts.gguf_modelfile import write_modelfile
from lorasdk.artifacts.golden import log_probabilities
from lorasdk.artifacts.merged_format import stop_where_ours_stops
from lorasdk.artifacts.merging import closer_model
from lorasdk.artifacts.proof import Proof
from lorasdk.artifacts.sealing import seal_export
from lorasdk.artifacts.tolerances import TOLERANCES
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.unwrapping import remove_tuner_layers, unwrapped
from lorasdk.checkpoints import fault_points
from lorasdk.errors import AdapterError, Problem

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PretrainedConfig, PreTrainedModel

DTYPES = ("f16", "f32", "bf16", "q8_0")


class GgufFormat:
    """One GGUF file with an Ollama Modelfile."""

    name = "gguf"
    dtypes = DTYPES

    def check(self, config: PretrainedConfig, gguf: Path | None) -> None:
        """Only some architectures have a place in the format."""
        require_exportable(config, gguf)

    def tolerance(self, source: Exportable, dtype: str) -> float:  # noqa: ARG002 - alike for all
        """By the type of the tensors that were written; those that were taken over have their own values."""
        return TOLERANCES[dtype]

    def write(self, source: Exportable, draft: Path, *, dtype: str) -> Written:
        """Merge in float32; tensors that are not adapted are those of the base's own file, where it came as one."""
        model, expected, merging = closer_model(source, original_only=source.gguf is not None)
        with quiet():
            merged = model.merge_and_unload()
        stop_where_ours_stops(merged, source.stop_ids)
        write_gguf(
            merged,
            source.tokenizer,
            draft,
            source=source.gguf,
            dtype=dtype,
            name=source.name,
            chat_template=source.tokenizer.chat_template,
            generation=source.generation,
        )
        fault_points.reach("file-written")
        return Written(expected, "float32", merging)

    @contextmanager
    def reload(self, source: Exportable, draft: Path) -> Iterator[PreTrainedModel]:  # noqa: ARG002 - it needs no other
        """Read it back, in float32."""
        yield load_gguf(the_gguf(draft))

    def seal(self, source: Exportable, draft: Path, *, dtype: str, proof: Proof, merging: MergingPart | None) -> None:
        """Its passport holds the adapter's."""
        seal_export(draft, source.passport, kind="gguf", dtype=dtype, proof=proof, merging=merging)


class GgufAdapterFormat:
    """The adapter alone, to be laid over the base model's GGUF, with an Ollama Modelfile."""

    name = "gguf-adapter"
    dtypes = DTYPES

    def check(self, config: PretrainedConfig, gguf: Path | None) -> None:
        """Only some architectures have a place in the format."""
        require_exportable(config, gguf)

    def tolerance(self, source: Exportable, dtype: str) -> float:  # noqa: ARG002 - alike for all
        """By the type of the matrices."""
        return TOLERANCES[dtype]

    def write(self, source: Exportable, draft: Path, *, dtype: str) -> Written:
        """Write the matrices; what is expected is what they do to the original weights."""
        model = source.full_model()
        expected = [log_probabilities(model, prompt) for prompt in source.prompts]
        base = unwrapped(model)
        remove_tuner_layers(base)
        written = write_gguf_adapter(source.adapter_dir, base, draft, dtype=dtype, name=source.name)
        fault_points.reach("file-written")
        write_modelfile(
            draft,
            start="base.gguf" if source.gguf is None else source.gguf.name,
            tokenizer=source.tokenizer,
            chat_template=source.tokenizer.chat_template,
            generation=source.generation,
            adapter=written.name,
        )
        return Written(expected, "float32")

    @contextmanager
    def reload(self, source: Exportable, draft: Path) -> Iterator[PeftModel]:
        """Read it back onto the original weights, in float32."""
        yield load_gguf_adapter(the_gguf(draft), source.load_full().model)

    def seal(self, source: Exportable, draft: Path, *, dtype: str, proof: Proof, merging: MergingPart | None) -> None:
        """Its passport holds the adapter's."""
        seal_export(draft, source.passport, kind="gguf-adapter", dtype=dtype, proof=proof, merging=merging)


def the_gguf(folder: Path) -> Path:
    """The one GGUF file of an export.

    Raises:
        AdapterError: there is none, or there are several.
    """
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return files[0]
    raise AdapterError(
        Problem(
            code="verify.absent-file",
            message="the folder has not exactly one GGUF file",
            place=str(folder),
            found=", ".join(path.name for path in files) or "none",
            fix="restore the folder from a copy, or export again",
        )
    )
