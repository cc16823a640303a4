"""Brings a base model into memory: frozen, in evaluation mode, in the type and on the device that were chosen.

It never goes online, runs no code that comes with a model, and takes every doubt of the library (a missing weight, an
unexpected one) as an error.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig, PreTrainedModel

from lorasdk.basemodel.dense_copy import dense_copy
from lorasdk.basemodel.device import Device, choose_device
from lorasdk.basemodel.fingerprint import weights_fingerprint
from lorasdk.basemodel.four_bit_cpu import settle_four_bit_layers
from lorasdk.basemodel.load_report import require_complete
from lorasdk.basemodel.model_files import require_loadable
from lorasdk.basemodel.quiet import quiet
from lorasdk.basemodel.safe_versions import require_safe_versions
from lorasdk.basemodel.scoped_random import scoped_random
from lorasdk.basemodel.typed_copy import mapped_share, typed_copy
from lorasdk.contracts import LocatedModel
from lorasdk.errors import ModelError, Problem, ResourceError
from lorasdk.recipe.schema import BaseModelSection

REFUSALS = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError)
"""What transformers raises for a folder that it cannot load."""


@dataclass(frozen=True)
class LoadedBase:
    """A base model in memory."""

    model: PreTrainedModel
    """In evaluation mode; no parameter requires gradients."""
    device: Device
    """Where it computes and in what type."""
    fingerprint: str
    """`weights_fingerprint` of the files it came from."""
    located: LocatedModel
    """Where it was found."""
    quantization: str
    """``none``, ``int8`` or ``nf4``."""
    parameters: int
    """Number of its parameters, however they are packed."""
    seconds: float
    """Time it took to load."""
    folder: Path
    """The folder its weights and tokenizer came from."""


def model_folder(located: LocatedModel, *, cache_dir: Path | None = None) -> Path:
    """Give a folder in transformers' layout; a GGUF file is dequantised into the user's cache, once.

    Raises:
        ModelError: the GGUF file is damaged or of an unknown architecture.
        ResourceError: the disk has no room for the dequantised copy.
    """
    return dense_copy(located.path, cache_dir=cache_dir) if located.format == "gguf" else located.path


def load_base_model(
    located: LocatedModel,
    section: BaseModelSection,
    *,
    trust_remote_code: bool = False,
    cache_dir: Path | None = None,
) -> LoadedBase:
    """Load the base model that a source found.

    Args:
        located: the files on this machine.
        section: the recipe's ``base_model`` section: device, dtype, quantisation.
        trust_remote_code: run Python code that comes with the model; only the host can say so, never a recipe.
        cache_dir: folder for dequantised copies and fingerprints; the user's cache when not given.

    Raises:
        ModelError: the device cannot do what is asked, or the files are damaged, incomplete, pickled, of an unknown
            architecture, or want to run code that is not trusted; or a library has a known fault in reading them.
        ResourceError: the memory of the device is too small.
    """
    require_safe_versions()
    started = time.monotonic()
    with quiet():
        device = choose_device(section)
        folder = model_folder(located, cache_dir=cache_dir)
        require_loadable(folder, trust_remote_code=trust_remote_code)
        fingerprint = weights_fingerprint(folder, cache_dir=cache_dir)
        typed = _in_type(folder, located, section, device)
        model = _load(typed, section, device, trust_remote_code)
        if device.kind == "cpu" and section.quantization == "none":
            _let_go_of_files(model, typed, device)
    return LoadedBase(
        model=model,
        device=device,
        fingerprint=fingerprint,
        located=located,
        quantization=section.quantization,
        parameters=model.num_parameters(),
        seconds=time.monotonic() - started,
        folder=folder,
    )


def _in_type(folder: Path, located: LocatedModel, section: BaseModelSection, device: Device) -> Path:
    """The weights in the type they are computed in, where the folder is a copy of ours and not the user's."""
    # Quantisation starts from the exact values: rounded twice they would be others.
    ours = located.format == "gguf" and section.quantization == "none"
    return typed_copy(folder, device.torch_dtype) if ours else folder


@torch.no_grad()
def _let_go_of_files(model: PreTrainedModel, folder: Path, device: Device) -> None:
    """Move weights out of mapped files most of which was only read to be converted: one tensor would hold it all."""
    if 0 < mapped_share(folder, device.torch_dtype) < 1 / 2:
        for parameter in model.parameters():
            parameter.data = parameter.data.clone()


def _load(folder: Path, section: BaseModelSection, device: Device, trust_remote_code: bool) -> PreTrainedModel:
    settings = _load_settings(section, device)
    try:
        # Weights that the files lack would be drawn from the host's random state before we refuse them.
        with scoped_random(torch.device(device.name)):
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
            model, report = AutoModelForCausalLM.from_pretrained(
                folder,
                config=config,
                dtype=device.torch_dtype,
                attn_implementation="sdpa",
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=trust_remote_code,
                output_loading_info=True,
                **settings,
            )
    except torch.OutOfMemoryError as error:
        raise ResourceError(_too_large(folder, device, error)) from error
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RuntimeError,
        ImportError,
        SafetensorError,
    ) as error:
        raise ModelError(_refused(folder, error)) from error
    require_complete(report, place=folder)
    return _prepare(model, device)


def _load_settings(section: BaseModelSection, device: Device) -> dict[str, Any]:
    if section.quantization == "none":
        return {"device_map": {"": device.name}} if device.kind != "cpu" else {}
    return {"device_map": {"": device.name}, "quantization_config": _bitsandbytes_config(section, device)}


def _bitsandbytes_config(section: BaseModelSection, device: Device) -> BitsAndBytesConfig:
    if section.quantization == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=section.double_quantization,
        bnb_4bit_compute_dtype=device.torch_dtype,
    )


def _prepare(model: PreTrainedModel, device: Device) -> PreTrainedModel:
    model.requires_grad_(requires_grad=False)
    if device.kind == "cpu":
        settle_four_bit_layers(model)
    return model.eval()


def _refused(folder: Path, error: Exception) -> Problem:
    return Problem(
        code="model.refused",
        message=f"transformers cannot load it as a causal language model: {error}",
        place=str(folder),
        field="base_model.source",
        fix="use a causal language model whose architecture the installed transformers knows",
    )


def _too_large(folder: Path, device: Device, error: Exception) -> Problem:
    return Problem(
        code="memory.model-too-large",
        message=f"the base model does not fit into the memory of {device.name}: {error}",
        place=str(folder),
        field="base_model.quantization",
        fix="set base_model.quantization: nf4, or choose a smaller model",
    )
