"""A name for exactly these weights: it tells base models apart whose tensors merely have the same shapes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from lorasdk.basemodel.digest_cache import remembered_digest
from lorasdk.basemodel.model_files import weight_files
from lorasdk.basemodel.safetensors_header import StoredTensor, read_stored_tensors
from lorasdk.errors import ModelError

CHUNK_BYTES = 2**22


def weights_fingerprint(folder: Path, *, cache_dir: Path | None = None) -> str:
    """Hash all tensors of a model folder: their names, types, shapes and bytes.

    File names, sharding, the order of tensors and metadata do not matter. The result is remembered in the user's cache
    under each file's path, size and modification time.

    Args:
        folder: a model folder with safetensors weights.
        cache_dir: where results are remembered; the user's cache when not given.

    Returns:
        SHA-256 as 64 hexadecimal digits.

    Raises:
        ModelError: there are no safetensors weights, or they are damaged.
    """
    files = weight_files(folder)
    return remembered_digest(files, lambda: _hash_tensors(files), kind="weights-1", cache_dir=cache_dir)


def _hash_tensors(files: tuple[Path, ...]) -> str:
    entries = [
        [tensor.name, tensor.dtype, list(tensor.shape), _hash_bytes(path, tensor)]
        for path in files
        for tensor in read_stored_tensors(path, error=ModelError)
    ]
    return hashlib.sha256(json.dumps(sorted(entries)).encode()).hexdigest()


def _hash_bytes(path: Path, tensor: StoredTensor) -> str:
    digest = hashlib.sha256()
    left = tensor.size
    with path.open("rb") as file:
        file.seek(tensor.start)
        while left > 0 and (chunk := file.read(min(CHUNK_BYTES, left))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()
