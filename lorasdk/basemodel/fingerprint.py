"""A name for exactly these weights: it tells base models apart whose tensors merely have the same shapes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from lorasdk.basemodel.digest_cache import remembered_digest
from lorasdk.basemodel.model_files import weight_files
from lorasdk.basemodel.safetensors_header import StoredTensor, read_stored_tensors
from lorasdk.errors import AdapterError, ModelError, Problem

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


def check_base_fingerprint(
    expected: str, actual: str, *, expected_source: str, actual_source: str, override: bool
) -> None:
    """Refuse a base model that is not the one an adapter was trained on, though its shapes may fit.

    Args:
        expected: fingerprint in the adapter's passport.
        actual: fingerprint of the loaded base model.
        expected_source: identity of the base model in the passport.
        actual_source: identity of the loaded base model.
        override: let the mismatch pass.

    Raises:
        AdapterError: the fingerprints differ and `override` is false.
    """
    if expected == actual or override:
        return
    raise AdapterError(
        Problem(
            code="adapter.base-mismatch",
            message=f"the adapter was trained on other weights than those of {actual_source}",
            field="base_model.source",
            found=f"{actual_source} (weights {actual[:12]})",
            allowed=f"{expected_source} (weights {expected[:12]})",
            fix="load the adapter on its own base model, or pass allow_base_mismatch=True to use it anyway",
        )
    )


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
