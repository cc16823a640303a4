"""What a `FineTuner` refuses, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from lorasdk.errors import InferenceError, Problem
from lorasdk.recipe.explaining import explain
from lorasdk.recipe.schema import GenerationSection


def generation_settings(section: GenerationSection, changes: Mapping[str, object]) -> GenerationSection:
    """The recipe's generation settings with a call's changes.

    Raises:
        InferenceError: a setting is unknown or out of range.
    """
    try:
        return GenerationSection.model_validate({**section.model_dump(), **changes})
    except ValidationError as error:
        raise InferenceError(*explain(error, GenerationSection, place=lambda _location, _key: "")) from error


def busy(verb: str) -> Problem:
    """A training is running."""
    return Problem(
        code="tuner.busy",
        message=f"cannot {verb} while a training of this FineTuner is running",
        fix="wait for train() to return, or use another FineTuner",
    )


def no_adapter() -> Problem:
    """Nothing was trained or opened yet."""
    return Problem(
        code="tuner.no-adapter",
        message="there is no adapter yet",
        fix="call train() first, open a saved one with FineTuner.from_adapter(…), or ask the base with adapter=False",
    )


def abandoned(run_dir: Path, steps: int) -> Problem:
    """Somebody stopped a run and did not want what it had learnt."""
    return Problem(
        code="run.abandoned",
        message=f"the run was stopped after {steps} steps and left no adapter, as was asked",
        place=str(run_dir),
        fix="stop with save=True to keep what was learnt so far",
    )


def stopped_too_early(run_dir: Path, init: str) -> Problem:
    """A run was stopped before there was anything to save."""
    return Problem(
        code="run.stopped-too-early",
        message=f"the run was stopped before its rows were ready, which lora.init: {init} needs to make an adapter",
        place=str(run_dir),
        fix="train again; with resume='auto' the run goes on from its last checkpoint, if it has one",
    )


def no_longer_wanted() -> Problem:
    """The host stopped answers or their scoring."""
    return Problem("inference.stopped", "the answers were no longer wanted", fix="ask again")


def no_test_rows() -> Problem:
    """Nothing to compare on."""
    return Problem(
        code="data.no-test-rows",
        message="the recipe has no test rows to compare on",
        field="data.test",
        fix="set data.test to a file or a share such as 0.1, or hand rows over in data={'test': …}",
    )


def out_of_memory(error: MemoryError) -> Problem:
    """The machine has no memory left outside of the passes, which can be made smaller."""
    return Problem(
        code="memory.exhausted",
        message="memory ran out while the data or the model were made ready",
        found=str(error) or "MemoryError",
        fix="free memory, take a smaller base model or base_model.quantization: nf4, or set data.….max_rows",
    )


def several_processes(count: str) -> Problem:
    """A launcher such as torchrun started this program several times."""
    return Problem(
        code="tuner.several-processes",
        message=f"a launcher started {count} copies of this program, and each would train alone",
        field="WORLD_SIZE",
        found=count,
        allowed="one process",
        fix="start the program by itself; one process trains on one device",
    )
