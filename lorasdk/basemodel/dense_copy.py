"""Turns a GGUF file into a model folder in the user's cache, once.

Every value of the copy is exactly what the file's blocks decode to: a tensor is kept in 16 bits where that loses
nothing (a GGUF of F16 or BF16 tensors) and in 32 bits otherwise (a 4-bit block decodes to a product of an 11-bit scale
and a 4-bit integer plus an 11-bit offset, which no 16-bit type holds). So a model loaded from the copy equals the model
loaded from the file in any dtype. The price is up to four bytes per parameter on disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers import modeling_gguf_pytorch_utils as gguf_reading

from lorasdk.basemodel.digest_cache import remembered_digest
from lorasdk.basemodel.load_report import require_complete
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.rotary_scaling import rotary_scaling
from lorasdk.basemodel.scoped_random import scoped_random
from lorasdk.errors import ModelError, Problem, ResourceError

MAGIC = b"GGUF"
NAME = "model.gguf"
FORMAT = "1"
"""Part of the copy's name; raised when copies are written differently, so that old ones are not taken for new."""
_ONE_AT_A_TIME = threading.Lock()
"""Held while the library's progress bar is swapped, which is the process's and not ours alone."""


def dense_copy(gguf: Path, *, cache_dir: Path | None = None) -> Path:
    """Give the folder with the dense weights, tokenizer, chat template and generation settings of a GGUF file.

    The folder is named after the file's SHA-256 and appears complete or not at all, also when two processes make it.

    Args:
        gguf: a ``.gguf`` file.
        cache_dir: folder of the copies; the user's cache when not given.

    Raises:
        ModelError: the file is no GGUF, is damaged, or its architecture is unknown to transformers.
        ResourceError: the disk has no room.
    """
    cache = cache_dir or user_cache_path("lorasdk")
    require_gguf(gguf)
    digest = remembered_digest([gguf], lambda: _sha256(gguf), kind="file-1", cache_dir=cache)
    folder = cache / "dense" / f"{digest}-{FORMAT}"
    if not folder.is_dir():
        _require_whole(gguf)
        _write(gguf, folder)
    return folder


def require_gguf(path: Path) -> None:
    """Let a file pass that begins like a GGUF; raise `ModelError` naming it otherwise."""
    try:
        with path.open("rb") as file:
            begins = file.read(len(MAGIC))
    except OSError as error:
        raise ModelError(_damaged(path, error.strerror or str(error))) from error
    if begins != MAGIC:
        raise ModelError(_damaged(path, f"it begins with {begins!r} instead of {MAGIC!r}"))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_whole(path: Path) -> None:
    from gguf import GGUFReader

    size = path.stat().st_size
    try:
        reader = GGUFReader(path)
        ends = {tensor.name: int(tensor.data_offset) + int(tensor.n_bytes) for tensor in reader.tensors}
    except (OSError, ValueError, LookupError, TypeError, OverflowError, MemoryError) as error:
        raise ModelError(_damaged(path, f"its tensors do not lie where its header says ({error})")) from error
    outside = [name for name, end in ends.items() if end > size]
    if outside or not ends:
        raise ModelError(_damaged(path, f"it ends before its tensors: {', '.join(outside[:3]) or 'it has none'}"))
    stretched = rotary_scaling(reader)
    if stretched:
        raise ModelError(_stretched(path, stretched))


def _write(gguf: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-", ignore_cleanup_errors=True) as temporary:
        alone, copy = Path(temporary) / "from", Path(temporary) / "to"
        try:
            set_apart(gguf, alone)
            model, tokenizer = _read(gguf, alone)
            with quiet():
                model.save_pretrained(copy)
                tokenizer.save_pretrained(copy)
            _flush(copy)
            _move(copy, folder)
        except (OSError, SafetensorError) as error:
            raise ResourceError(_unwritable(folder, error)) from error


def set_apart(gguf: Path, folder: Path) -> None:
    """Put the file into a folder of its own: transformers prefers a tokenizer or an adapter that lies next to it."""
    folder.mkdir()
    try:
        (folder / NAME).symlink_to(gguf.resolve())
    except OSError:  # not every system lets everybody make links
        shutil.copyfile(gguf, folder / NAME)


def _read(gguf: Path, alone: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    with quiet(), without_bar(), scoped_random(torch.device("cpu")):
        try:
            tokenizer = AutoTokenizer.from_pretrained(alone, gguf_file=NAME, local_files_only=True)
            model, report = AutoModelForCausalLM.from_pretrained(
                alone,
                gguf_file=NAME,
                local_files_only=True,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
                output_loading_info=True,
            )
        except (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ImportError) as error:
            raise ModelError(_refused(gguf, error)) from error
    require_complete(report, place=gguf)
    _narrow(model)
    return model, tokenizer


def _flush(folder: Path) -> None:
    # Before the rename, so that a power cut cannot leave a folder whose name is whole and whose files are not.
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())


@contextmanager
def without_bar() -> Iterator[None]:
    """Keep transformers' reader of GGUF files from drawing: it does with plain tqdm, past the library's switches."""
    with _ONE_AT_A_TIME:
        shown = gguf_reading.tqdm
        gguf_reading.tqdm = partial(shown, disable=True)
        try:
            yield
        finally:
            gguf_reading.tqdm = shown


@torch.no_grad()
def _narrow(model: PreTrainedModel) -> None:
    """Hold each tensor in 16 bits where every value survives it."""
    for parameter in model.parameters():
        for dtype in (torch.bfloat16, torch.float16):
            narrowed = parameter.to(dtype)
            if torch.equal(narrowed.to(parameter.dtype), parameter):
                parameter.data = narrowed
                break


def _move(temporary: Path, folder: Path) -> None:
    try:
        os.rename(temporary, folder)  # noqa: PTH104 - Path.rename would replace an empty folder on some systems
    except OSError:
        if not folder.is_dir():  # another process made the same copy first
            raise


def _damaged(path: Path, why: str) -> Problem:
    return Problem(
        code="file.damaged-gguf",
        message=f"not a whole GGUF file: {why}",
        place=str(path),
        field="base_model.source",
        fix="fetch the file again",
    )


def _refused(path: Path, error: Exception) -> Problem:
    return Problem(
        code="model.refused",
        message=f"transformers cannot read this GGUF file: {error}",
        place=str(path),
        field="base_model.source",
        fix="use the model's original safetensors weights, or a GGUF of a supported architecture",
    )


def _unwritable(folder: Path, error: Exception) -> Problem:
    free = shutil.disk_usage(folder.parent).free
    return Problem(
        code="disk.dense-copy",
        message=f"the dequantised copy cannot be written: {error}",
        place=str(folder),
        found=f"{free:,} bytes free",
        fix="free disk space, or point the cache elsewhere with XDG_CACHE_HOME",
    )


def _stretched(path: Path, found: str) -> Problem:
    return Problem(
        code="model.stretched-positions",
        message="the GGUF file stretches rotary positions, which transformers leaves unread: it would be another model",
        place=str(path),
        field="base_model.source",
        found=found,
        allowed="a GGUF file without it",
        fix="use the model's original safetensors weights",
    )
