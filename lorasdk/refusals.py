"""What a `FineTuner` refuses, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from lorasdk.errors import InferenceError, Problem
from lorasdk.recipe.explaining import explain
from lorasdk.recipe.schema import GenerationSection
from lorasdk.results import AdapterInfo


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


def adapter_unknown(name: str, known: list[str]) -> Problem:
    """A name that stands for nothing."""
    return Problem(
        code="adapter.unknown",
        message=f"no adapter of this tuner is called {name!r}",
        field="adapter",
        found=repr(name),
        allowed=", ".join(known) or "none is loaded; True for the tuner's own adapter, False for the base model",
        fix=f"load it first: tuner.adapters.load({name!r}, path)",
    )


def taken(info: AdapterInfo) -> Problem:
    """A name that stands for another adapter."""
    return Problem(
        code="adapter.name-taken",
        message=f"the name {info.name!r} stands for another adapter already",
        place=str(info.folder),
        field="name",
        found=info.name,
        fix="choose another name, or pass replace=True",
    )


def adapter_changed(info: AdapterInfo) -> Problem:
    """An adapter that was let go of, and is not there any more."""
    return Problem(
        code="adapter.changed-on-disk",
        message=f"the folder of {info.name!r} holds another adapter than the one that was loaded and let go of",
        place=str(info.folder),
        fix="load it again with replace=True if the new one is meant",
    )


def adapter_too_large(info: AdapterInfo, most: int) -> Problem:
    """One adapter that takes more memory than all of them may."""
    return Problem(
        code="adapter.too-large",
        message=f"{info.name!r} takes {info.bytes / 10**9:.3g} GB, more than all adapters together may",
        place=str(info.folder),
        found=f"{info.bytes / 10**9:.3g} GB",
        allowed=f"at most {most / 10**9:.3g} GB",
        fix="raise the bound: tuner.adapters.keep_at_most(gigabytes=…)",
    )


def no_bound(count: int | None, gigabytes: float | None) -> Problem:
    """A bound that nothing could keep."""
    return Problem(
        code="adapter.bad-bound",
        message="a bound of an adapter set is positive",
        found=f"count={count}, gigabytes={gigabytes}",
        allowed="count of at least 1, gigabytes above 0",
        fix="to let go of adapters, unload them",
    )


def other_number(prompts: int, adapters: int) -> Problem:
    """A list of adapters that is not one for each prompt."""
    return Problem(
        code="inference.other-number",
        message=f"{adapters} adapters are named for {prompts} prompts",
        field="adapter",
        found=str(adapters),
        allowed=f"one name, or {prompts} names; for one prompt, any number",
        fix="name one adapter for each prompt",
    )


def require_positive(**numbers: int) -> None:
    """Refuse bounds that nothing could pass.

    Raises:
        InferenceError: all that are not positive.
    """
    problems = [
        Problem(
            code="inference.bad-bound",
            message=f"{name} is at least 1",
            field=name,
            found=str(number),
            allowed="at least 1",
            fix="give a positive number, or leave it out",
        )
        for name, number in numbers.items()
        if number < 1
    ]
    if problems:
        raise InferenceError(*problems)


def queue_full(most: int) -> Problem:
    """More requests than a scheduler may have waiting."""
    return Problem(
        code="inference.queue-full",
        message=f"{most} requests are waiting already",
        allowed=f"at most {most}",
        fix="ask again later, or open the scheduler with a longer queue",
    )


def scheduler_open() -> Problem:
    """A training where answers are given."""
    return Problem(
        code="tuner.busy",
        message="cannot train while a scheduler of this FineTuner is open",
        fix="close the scheduler first, or train with another FineTuner",
    )


def scheduler_closed() -> Problem:
    """A request after the end."""
    return Problem(
        code="inference.closed", message="the scheduler takes no more requests", fix="open another: open_scheduler()"
    )


def answer_failed(error: Exception) -> Problem:
    """The model could not compute."""
    return Problem(
        code="inference.failed",
        message=f"the answer could not be computed: {type(error).__name__}: {error}",
        fix="ask again; fewer rows at a time (max_rows) need less memory",
    )
