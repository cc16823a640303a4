"""Puts a saved LoRA adapter on a loaded base model, after proving that it is one and that it fits.

It reads PEFT's two files, ``adapter_config.json`` and ``adapter_model.safetensors``, and lets PEFT see them only when
nothing in them could import a module, be unpickled, or be silently ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

from lorasdk.basemodel.adapter_config import CONFIG, WEIGHTS
from lorasdk.basemodel.adapter_reading import REFUSALS, read_adapter, refused
from lorasdk.basemodel.base_biases import keep_base_biases
from lorasdk.basemodel.json_file import read_json_object
from lorasdk.basemodel.loading import LoadedBase
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.scoped_random import scoped_random
from lorasdk.basemodel.unwrapping import remove_tuner_layers
from lorasdk.errors import AdapterError, Problem

SHOWN_KEYS = 3


def attach_saved_adapter(
    base: LoadedBase, adapter_dir: Path, *, name: str = "default", trainable: bool = False
) -> PeftModel:
    """Put a saved adapter on a base model that has none.

    Args:
        base: changed in place; left without adapter when an error is raised.
        adapter_dir: a PEFT adapter folder.
        name: PEFT's name of the adapter on this base.
        trainable: whether its parameters require gradients; they are float32 either way.

    Returns:
        The PEFT model, in evaluation mode, with the adapter active.

    Raises:
        AdapterError: as `read_adapter_config`; or the weights are pickled, damaged, or fit another base model.
    """
    config, weights = read_adapter(adapter_dir, trainable=trainable)
    with _on_behalf_of(base, adapter_dir):
        try:
            model = get_peft_model(base.model, config, adapter_name=name)
            keep_base_biases(model)
            _fill(model, weights, name=name, base=base, adapter_dir=adapter_dir)
        except BaseException:
            remove_tuner_layers(base.model)
            raise
    return model.eval()


def add_saved_adapter(model: PeftModel, base: LoadedBase, adapter_dir: Path, *, name: str) -> None:
    """Put one more saved adapter on a PEFT model; the active adapter stays active, the new one is frozen.

    Raises:
        AdapterError: as `attach_saved_adapter`; or the name is taken.
    """
    if name in model.peft_config:
        raise AdapterError(_name_taken(name, model))
    config, weights = read_adapter(adapter_dir, trainable=False)
    with _on_behalf_of(base, adapter_dir):
        model.add_adapter(name, config)
        try:
            _fill(model, weights, name=name, base=base, adapter_dir=adapter_dir)
        except BaseException:
            model.delete_adapter(name)
            raise
    model.eval()


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


@contextmanager
def _on_behalf_of(base: LoadedBase, adapter_dir: Path) -> Iterator[None]:
    """Call PEFT: silent, without touching the host's random state, its refusals translated."""
    with quiet(), scoped_random(base.model.device):
        try:
            yield
        except REFUSALS as error:
            if isinstance(error, AdapterError):
                raise
            raise AdapterError(refused(adapter_dir, error)) from error


def _fill(
    model: PeftModel, weights: dict[str, torch.Tensor], *, name: str, base: LoadedBase, adapter_dir: Path
) -> None:
    # save_embedding_layers=False: "auto" would ask the hub whether the base model's vocabulary is its own.
    expected = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    require_matching(expected, weights, base, adapter_dir)
    set_peft_model_state_dict(model, weights, adapter_name=name)


def require_matching(
    expected: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], base: LoadedBase, adapter_dir: Path
) -> None:
    """Refuse weights that are not exactly those a base model takes: missing, too many, or of other shapes.

    Args:
        expected: PEFT's state of the adapter on the base model; its values do not matter.
        weights: of the adapter folder.
        base: for messages.
        adapter_dir: for messages.

    Raises:
        AdapterError: all that does not match.
    """
    problems = [
        *_other_shapes(expected, weights, base, adapter_dir),
        *_other_keys("missing", expected.keys() - weights.keys(), adapter_dir, base),
        *_other_keys("unexpected", weights.keys() - expected.keys(), adapter_dir, base),
    ]
    if problems:
        raise AdapterError(*problems)


def _other_shapes(
    expected: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], base: LoadedBase, adapter_dir: Path
) -> list[Problem]:
    different = sorted(key for key in expected.keys() & weights.keys() if expected[key].shape != weights[key].shape)
    if not different:
        return []
    shown = [f"{key} {tuple(weights[key].shape)} for {tuple(expected[key].shape)}" for key in different[:SHOWN_KEYS]]
    return [
        Problem(
            code="adapter.base-mismatch",
            message=f"the adapter was made for {_own_base(adapter_dir)} and does not fit {base.located.identity}: "
            f"{len(different)} of its matrices have other shapes",
            place=str(adapter_dir),
            field="base_model.source",
            found=base.located.identity,
            allowed=_own_base(adapter_dir),
            fix=f"load the adapter on its own base model. Shapes: {'; '.join(shown)}",
        )
    ]


def _other_keys(kind: str, keys: set[str], adapter_dir: Path, base: LoadedBase) -> list[Problem]:
    if not keys:
        return []
    meaning = "lacks" if kind == "missing" else "has, and nothing on this base model takes,"
    return [
        Problem(
            code=f"adapter.{kind}-weights",
            message=f"the adapter {meaning} {len(keys)} matrices; it was made for {_own_base(adapter_dir)} "
            f"and is loaded on {base.located.identity}",
            place=str(adapter_dir / WEIGHTS),
            found=", ".join(sorted(keys)[:SHOWN_KEYS]) + (", …" if len(keys) > SHOWN_KEYS else ""),
            fix="load the adapter on its own base model, or fetch it again",
        )
    ]


def _own_base(adapter_dir: Path) -> str:
    config = read_json_object(adapter_dir / CONFIG, error=AdapterError)
    return str(config.get("base_model_name_or_path") or "a base model it does not name")


def _name_taken(name: str, model: PeftModel) -> Problem:
    return Problem(
        code="adapter.name-taken",
        message=f"the base model already carries an adapter called {name!r}",
        field="name",
        found=name,
        allowed=f"any name but {', '.join(model.peft_config)}",
        fix="choose another name",
    )
