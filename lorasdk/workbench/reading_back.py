"""How each kind of artefact is read back from the disk to be asked again. Heavy: imported when work begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from gguf import GGUFReader

from lorasdk.artifacts.gguf_adapter import load_gguf_adapter
from lorasdk.artifacts.gguf_formats import the_gguf
from lorasdk.artifacts.gguf_model import load_gguf
from lorasdk.artifacts.merged_format import load_merged
from lorasdk.artifacts.passport import Passport
from lorasdk.basemodel.saved_adapter import check_base_fingerprint
from lorasdk.basemodel.tokenizer import load_tokenizer
from lorasdk.data.encoding import Encoder
from lorasdk.data.template import ChatTemplate, choose_template
from lorasdk.errors import AdapterError, ModelError, Problem
from lorasdk.events import Emit
from lorasdk.resolving import Resolved
from lorasdk.workbench.bench import Workbench

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

TEMPLATE = "tokenizer.chat_template"
"""Where a GGUF file has it."""


@dataclass(frozen=True)
class Reading:
    """What is to be read."""

    folder: Path
    adapter: Passport
    """Of the adapter behind the artefact."""
    resolved: Resolved
    trust_remote_code: bool
    emit: Emit


@dataclass(frozen=True)
class ReadBack:
    """An artefact in memory."""

    model: PreTrainedModel | PeftModel
    """In evaluation mode."""
    dtype: str
    """What it computes in."""
    encoder: Encoder | None
    """Its tokenizer and template; None where the file holds them in llama.cpp's form."""


Reader: TypeAlias = Callable[[Reading], AbstractContextManager[ReadBack]]


@contextmanager
def _adapter(reading: Reading) -> Iterator[ReadBack]:
    bench = Workbench.of(reading.resolved, trust_remote_code=reading.trust_remote_code, emit=reading.emit)
    bench.attach_saved(reading.folder, reading.adapter, allow_base_mismatch=False, emit=reading.emit)
    assert bench.model is not None
    assert bench.base is not None
    try:
        yield ReadBack(bench.model, bench.base.device.dtype, bench.encoder)
    finally:
        bench.release()


@contextmanager
def _merged(reading: Reading) -> Iterator[ReadBack]:
    with _as_a_damaged_artefact():
        tokenizer = load_tokenizer(reading.folder)
        template = choose_template("auto", tokenizer)
        _require_template(template, reading)
        model = load_merged(reading.folder)
    yield ReadBack(model, "float32", Encoder.of(tokenizer, template))


@contextmanager
def _gguf(reading: Reading) -> Iterator[ReadBack]:
    path = the_gguf(reading.folder)
    with _as_a_damaged_artefact():
        model = load_gguf(path)
    field = GGUFReader(path).fields.get(TEMPLATE)
    _require_template(ChatTemplate("" if field is None else str(field.contents()), path.name), reading)
    yield ReadBack(model, "float32", None)


@contextmanager
def _gguf_adapter(reading: Reading) -> Iterator[ReadBack]:
    bench = Workbench.of(reading.resolved, trust_remote_code=reading.trust_remote_code, emit=reading.emit)
    _require_template(bench.encoder.renderer.template, reading)
    base, expected = bench.load_base(reading.emit), reading.adapter.base_model
    check_base_fingerprint(
        expected.fingerprint,
        base.fingerprint,
        expected_source=expected.source,
        actual_source=reading.resolved.recipe.base_model.source,
        override=False,
    )
    try:
        yield ReadBack(load_gguf_adapter(the_gguf(reading.folder), base.model), "float32", bench.encoder)
    finally:
        bench.release()


READERS: Mapping[str, Reader] = MappingProxyType(
    {"adapter": _adapter, "merged": _merged, "gguf": _gguf, "gguf-adapter": _gguf_adapter}
)
"""By the kind that a passport names."""


@contextmanager
def _as_a_damaged_artefact() -> Iterator[None]:
    """A model that was exported is no base model that somebody chose: what is wrong with it is damage."""
    try:
        yield
    except ModelError as error:
        raise AdapterError(*error.problems) from error


def _require_template(found: ChatTemplate, reading: Reading) -> None:
    expected = reading.adapter.template
    if found.sha256 == expected.sha256:
        return
    raise AdapterError(
        Problem(
            code="adapter.template-changed",
            message="the chat template is not the one the adapter was trained with, so prompts would differ",
            place=str(reading.folder),
            found=f"{found.origin}, sha256 {found.sha256}",
            allowed=f"{expected.origin}, sha256 {expected.sha256}",
            fix="use the files as they were written, or export again",
        )
    )
