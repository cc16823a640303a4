"""Keeps a dequantised model in the type it is computed in, so that loading it maps a file and converts nothing.

Converted while loading, the wide weights stay resident beside the narrow ones. The copy has the values that conversion
gives, takes half the disk of the wide one, and can be deleted at any time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from lorasdk.basemodel.model_files import CONFIG, WEIGHTS, weight_files
from lorasdk.basemodel.safetensors_header import StoredTensor, read_stored_tensors
from lorasdk.errors import ModelError

GENERATION = "generation_config.json"
STORED_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
"""Types of a dequantised model's tensors, in the format's spelling."""


def typed_copy(dense: Path, dtype: torch.dtype) -> Path:
    """Give the folder with `dense`'s weights in `dtype`, made at the first call.

    Args:
        dense: a folder that `dense_copy` made; the copy is put beside it.
        dtype: what the model is computed in.

    Returns:
        The copy's folder, or `dense` itself where that is in `dtype` already or the copy cannot be written.

    Raises:
        ModelError: the weights of `dense` are damaged.
    """
    folder = dense.with_name(f"{dense.name}-{str(dtype).removeprefix('torch.')}")
    if _whole(folder):
        return folder
    if mapped_share(dense, dtype) >= 1 / 2:
        return dense
    # Without the copy a start takes more time and memory, and nothing else.
    with suppress(OSError, SafetensorError):
        _write(dense, folder, dtype)
    return folder if _whole(folder) else dense


def mapped_share(folder: Path, dtype: torch.dtype) -> float:
    """Share of a model folder's bytes that need no conversion to `dtype`, from 0 to 1."""
    tensors = [tensor for path in weight_files(folder) for tensor in read_stored_tensors(path, error=ModelError)]
    fitting = sum(tensor.size for tensor in tensors if STORED_DTYPES.get(tensor.dtype) == dtype)
    return fitting / max(1, sum(tensor.size for tensor in tensors))


def _whole(folder: Path) -> bool:
    try:
        return bool(read_stored_tensors(folder / WEIGHTS, error=ModelError))
    except ModelError:
        shutil.rmtree(folder, ignore_errors=True)
        return False


def _write(dense: Path, folder: Path, dtype: torch.dtype) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-", ignore_cleanup_errors=True) as temporary:
        copy = Path(temporary) / "to"
        copy.mkdir()
        weights = {
            tensor.name: _read(path, tensor).to(dtype)
            for path in weight_files(dense)
            for tensor in read_stored_tensors(path, error=ModelError)
        }
        save_file(weights, copy / WEIGHTS, metadata={"format": "pt"})
        for name in (CONFIG, GENERATION):
            if (dense / name).is_file():
                shutil.copyfile(dense / name, copy / name)
        _flush(copy)
        with suppress(OSError):  # another process made the same copy first
            os.rename(copy, folder)  # noqa: PTH104 - Path.rename would replace an empty folder on some systems


def _read(path: Path, tensor: StoredTensor) -> torch.Tensor:
    """Read one tensor without mapping its file, whose pages would stay as long as the copy is in the making."""
    with path.open("rb") as file:
        file.seek(tensor.start)
        buffer = bytearray(tensor.size)
        file.readinto(buffer)
    return torch.frombuffer(buffer, dtype=STORED_DTYPES[tensor.dtype]).reshape(tensor.shape)


def _flush(folder: Path) -> None:
    # Before the rename, so that a power cut cannot leave a folder whose name is whole and whose files are not.
    for path in folder.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
