"""Chooses where the base model computes and in what type, and refuses what the machine cannot do.

It knows the recipe's `base_model` section and the machine; it loads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import bitsandbytes
import torch

from lorasdk.errors import ModelError, Problem
from lorasdk.recipe.schema import BaseModelSection

FIRST_CUDA_WITH_BFLOAT16 = 8
"""Compute capability (Ampere); before it bfloat16 is emulated and slower than float32."""
FIRST_MACOS_WITH_BFLOAT16 = 14


@dataclass(frozen=True, slots=True)
class Device:
    """Where a model computes and in what type."""

    name: str
    """As torch spells it: ``cpu``, ``cuda:0``, ``mps``."""
    dtype: str
    """``float32``, ``bfloat16`` or ``float16``."""

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return self.name.partition(":")[0]

    @property
    def torch_dtype(self) -> torch.dtype:
        """`dtype` as torch's own object."""
        return _DTYPES[self.dtype]


_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Machine:
    """What this machine has and computes fast."""

    cpu_bfloat16: bool
    """Whether the CPU has instructions for bfloat16 products."""
    cuda_bfloat16: tuple[bool, ...]
    """One per CUDA device: whether it computes bfloat16 natively."""
    mps: bool
    """Whether Metal is available."""
    mps_bfloat16: bool
    """Whether Metal knows bfloat16."""
    mps_nf4: bool
    """Whether the installed bitsandbytes has 4-bit kernels for Metal."""

    @property
    def devices(self) -> tuple[str, ...]:
        """Names of all devices, the fastest kind first."""
        cuda = tuple(f"cuda:{index}" for index in range(len(self.cuda_bfloat16)))
        return (*cuda, *(("mps",) if self.mps else ()), "cpu")


def inspect_machine() -> Machine:
    """Ask torch what this machine can do."""
    cuda = range(torch.cuda.device_count()) if torch.cuda.is_available() else range(0)
    mps = torch.backends.mps.is_available()
    return Machine(
        cpu_bfloat16=_cpu_bfloat16(),
        cuda_bfloat16=tuple(_cuda_bfloat16(index) for index in cuda),
        mps=mps,
        mps_bfloat16=mps and torch.backends.mps.is_macos_or_newer(FIRST_MACOS_WITH_BFLOAT16, 0),
        mps_nf4=mps and "mps" in bitsandbytes.supported_torch_devices,
    )


def choose_device(section: BaseModelSection, *, machine: Machine | None = None) -> Device:
    """Resolve ``auto`` in the recipe's device and dtype.

    Args:
        section: the recipe's ``base_model`` section.
        machine: what the machine can do; inspected when not given.

    Raises:
        ModelError: the device is absent, or does not do the dtype or the quantisation; all of it is told at once.
    """
    machine = machine or inspect_machine()
    name = _device_name(section.device, machine)
    if name not in machine.devices:
        raise ModelError(_absent(section.device, machine))
    problems = [*_unsupported_dtype(name, section, machine), *_unsupported_quantization(name, section, machine)]
    if problems:
        raise ModelError(*problems)
    return Device(name, _fast_dtype(name, machine) if section.dtype == "auto" else section.dtype)


def _device_name(wanted: str, machine: Machine) -> str:
    if wanted == "auto":
        return machine.devices[0]
    return "cuda:0" if wanted == "cuda" else wanted


def _fast_dtype(name: str, machine: Machine) -> str:
    if name == "cpu":
        # float16 has no fast path on most CPUs, and bfloat16 only where there are instructions for it.
        return "bfloat16" if machine.cpu_bfloat16 else "float32"
    return "bfloat16" if _native_bfloat16(name, machine) else "float16"


def _native_bfloat16(name: str, machine: Machine) -> bool:
    if name == "mps":
        return machine.mps_bfloat16
    return machine.cuda_bfloat16[int(name.partition(":")[2])]


def _cpu_bfloat16() -> bool:
    # torch.cpu.get_capabilities() is newer than the oldest torch we support; these two exist in all of them.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001


def _cuda_bfloat16(index: int) -> bool:
    return torch.version.hip is not None or torch.cuda.get_device_capability(index)[0] >= FIRST_CUDA_WITH_BFLOAT16


def _absent(wanted: str, machine: Machine) -> Problem:
    return Problem(
        code="device.absent",
        message=f"this machine has no device {wanted!r} that torch {torch.__version__} can use",
        field="base_model.device",
        found=wanted,
        allowed=f"auto, {', '.join(machine.devices)}",
        fix="set base_model.device: auto, or install the torch build for the device",
    )


def _unsupported_dtype(name: str, section: BaseModelSection, machine: Machine) -> list[Problem]:
    if section.dtype != "bfloat16" or name == "cpu" or _native_bfloat16(name, machine):
        return []
    return [
        Problem(
            code="device.dtype-unsupported",
            message=f"the device {name} does not compute bfloat16",
            field="base_model.dtype",
            found="bfloat16",
            allowed="auto, float16, float32",
            fix="set base_model.dtype: auto",
        )
    ]


def _unsupported_quantization(name: str, section: BaseModelSection, machine: Machine) -> list[Problem]:
    if name != "mps" or section.quantization == "none":
        return []
    # bitsandbytes has kernels for 8-bit products on CPU and CUDA only; those for 4 bits on Metal came later.
    possible = ["none", *(["nf4"] if machine.mps_nf4 else [])]
    if section.quantization in possible:
        return []
    others = ", ".join(other for other in machine.devices if other != "mps")
    return [
        Problem(
            code="device.quantization-unsupported",
            message=f"the device {name} does not compute with {section.quantization} weights",
            field="base_model.quantization",
            found=section.quantization,
            allowed=f"on {name}: {', '.join(possible)}; {section.quantization} on {others}",
            fix=f"set base_model.quantization: {possible[-1]}, or base_model.device: cpu",
        )
    ]
