"""Where a base model computes, and what is refused there."""

from __future__ import annotations

import pytest

from lorasdk.basemodel.device import Device, Machine, choose_device, inspect_machine
from lorasdk.errors import ModelError
from lorasdk.recipe.schema import BaseModelSection


def machine(**has: object) -> Machine:
    nothing = {"cpu_bfloat16": False, "cuda_bfloat16": (), "mps": False, "mps_bfloat16": False, "mps_nf4": False}
    return Machine(**{**nothing, **has})


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({}, Device("cpu", "float32")),
        ({"cpu_bfloat16": True}, Device("cpu", "bfloat16")),
        ({"cuda_bfloat16": (True, False)}, Device("cuda:0", "bfloat16")),
        ({"cuda_bfloat16": (False,)}, Device("cuda:0", "float16")),
        ({"mps": True, "mps_bfloat16": True}, Device("mps", "bfloat16")),
        ({"mps": True}, Device("mps", "float16")),
        ({"mps": True, "cuda_bfloat16": (True,)}, Device("cuda:0", "bfloat16")),
    ],
)
def test_auto_takes_the_fastest_device_and_what_it_is_fast_at(has: dict[str, object], expected: Device):
    assert choose_device(BaseModelSection(), machine=machine(**has)) == expected


def test_a_named_device_and_dtype_are_taken_as_they_are():
    section = BaseModelSection(device="cuda:1", dtype="float32")
    chosen = choose_device(section, machine=machine(cuda_bfloat16=(True, False)))
    assert (chosen.name, chosen.dtype, chosen.kind) == ("cuda:1", "float32", "cuda")


def test_the_dtype_of_the_named_device_counts():
    section = BaseModelSection(device="cuda:1")
    assert choose_device(section, machine=machine(cuda_bfloat16=(True, False))).dtype == "float16"


def test_this_machine_has_at_least_a_cpu():
    assert "cpu" in inspect_machine().devices


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_M55_an_absent_device_lists_those_there_are(device: str):
    with pytest.raises(ModelError) as caught:
        choose_device(BaseModelSection(device=device), machine=machine())
    (problem,) = caught.value.problems
    assert (problem.code, problem.found, problem.allowed) == ("device.absent", device, "auto, cpu")


@pytest.mark.parametrize(
    ("quantization", "mps_nf4", "alternatives"),
    [("int8", True, "on mps: none, nf4"), ("int8", False, "on mps: none"), ("nf4", False, "on mps: none")],
)
def test_M55_a_quantisation_the_device_lacks_names_it_and_the_alternatives(
    quantization: str, mps_nf4: bool, alternatives: str
):
    with pytest.raises(ModelError) as caught:
        choose_device(BaseModelSection(quantization=quantization), machine=machine(mps=True, mps_nf4=mps_nf4))
    (problem,) = caught.value.problems
    assert problem.code == "device.quantization-unsupported"
    assert problem.allowed.startswith(alternatives)
    assert problem.allowed.endswith(f"{quantization} on cpu")
    assert "device mps" in problem.message


def test_M55_everything_the_device_lacks_is_told_at_once():
    section = BaseModelSection(device="mps", dtype="bfloat16", quantization="int8")
    with pytest.raises(ModelError) as caught:
        choose_device(section, machine=machine(mps=True))
    assert [p.code for p in caught.value.problems] == ["device.dtype-unsupported", "device.quantization-unsupported"]


def test_M55_bfloat16_on_an_old_gpu_is_refused():
    with pytest.raises(ModelError, match="cuda:0 does not compute bfloat16"):
        choose_device(BaseModelSection(dtype="bfloat16"), machine=machine(cuda_bfloat16=(False,)))
