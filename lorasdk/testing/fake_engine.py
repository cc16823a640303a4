"""An engine without a model: a training that takes no time, and answers that are known beforehand.

What a host sees is real: rows are read by the recipe's loaders, events come in their order, the run has its folder,
its lock and its log, a stop is honoured between steps, and errors are those of a real run. Only what the model would
have computed is made up: losses fall by a tenth with each step, and answers are those that the test gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from lorasdk.artifacts.passport import Passport
from lorasdk.asking import SchedulerOrder
from lorasdk.checkpoints.whole_file import write_whole_json
from lorasdk.contracts import Example
from lorasdk.data.examples import Examples
from lorasdk.errors import LorasdkError
from lorasdk.eval_report import Forgetting
from lorasdk.evaluation.forgetting_bound import bounded
from lorasdk.events import Emit
from lorasdk.exports import ExportOrder, ExportResult
from lorasdk.heavy_rooms import Bench, TrainingOrder
from lorasdk.recipe.schema import GenerationSection, LoraSection
from lorasdk.resolving import Resolved
from lorasdk.results import PreviewRow, Span, TrainResult
from lorasdk.stopping import StopToken
from lorasdk.testing.fake_predictor import Answers
from lorasdk.testing.fake_run import FakeCourse, FakeRun
from lorasdk.testing.fake_scheduler import FakeScheduler
from lorasdk.testing.fake_voices import FakeAdapter, FakeVoices

LITTLE = Forgetting(prompts=40, divergence=0.01, base_perplexity=2.0, tuned_perplexity=2.02)
"""What a fake adapter forgets unless the test says otherwise."""
FAKE = "fake.json"
"""What an export of a fake tuner writes."""


@dataclass(frozen=True)
class FakeEngine:
    """What a fake tuner answers, and how its trainings go."""

    answers: Answers = "a tuned answer"
    """Answers with the adapter."""
    base_answers: Answers = "a base answer"
    """Answers of the untouched base model."""
    adapter_answers: Mapping[str, Answers] = field(default_factory=dict)
    """Answers of adapters that are loaded beside, by the names of their recipes; those of `answers` where none is."""
    fails_at: int | None = None
    """The step before which a training fails with `error`."""
    error: LorasdkError | None = None
    """What it fails with."""
    seconds_per_step: float = 0.0
    """How long each step takes, for tests of hosts that stop a run in the middle."""
    forgetting: Forgetting = LITTLE
    """What the adapter is found to have forgotten; the bound is the recipe's."""
    real: bool = field(default=False, init=False)

    def quiet(self) -> AbstractContextManager[None]:
        """Nothing is imported, so nothing needs to be muted."""
        return nullcontext()

    def open(self, resolved: Resolved, *, trust_remote_code: bool, emit: Emit) -> FakeBench:  # noqa: ARG002
        """A bench that answers at once."""
        return FakeBench(resolved, self)

    def train(self, bench: Bench, order: TrainingOrder) -> tuple[TrainResult, bool]:
        """Go through a training's motions."""
        assert isinstance(bench, FakeBench)
        course = FakeCourse(self.answers, self.fails_at, self.error, self.seconds_per_step)
        result = FakeRun(bench.resolved, course, order).run()
        bench.has_adapter = True
        return result, False

    def export(self, bench: Bench, order: ExportOrder) -> ExportResult:  # noqa: ARG002 - any will do
        """Write a folder that says that it is no model."""
        order.folder.mkdir(parents=True, exist_ok=True)
        write_whole_json(order.folder / FAKE, {"adapter": str(order.adapter_dir)})
        return ExportResult(
            folder=order.folder,
            format=order.options.format,
            dtype=order.options.dtype or "float32",
            files=(FAKE,),
            verdict="same",
            largest_difference=0.0,
            tolerance=0.0,
            prompts=0,
            rows=0,
        )


@dataclass
class FakeBench:
    """Answers what the engine says."""

    resolved: Resolved
    engine: FakeEngine
    has_adapter: bool = False

    def preview(self, splits: Mapping[str, Examples], rows: int, emit: Emit) -> tuple[PreviewRow, ...]:  # noqa: ARG002
        """Prompts and answers; each word counts as a token."""
        return tuple(
            PreviewRow(name, example.row, _spans(example))
            for name, examples in splits.items()
            for example in examples.items[:rows]
        )

    def attach_saved(self, folder: Path, passport: Passport, *, allow_base_mismatch: bool, emit: Emit) -> None:  # noqa: ARG002
        """Remember that there is an adapter."""
        self.has_adapter = True

    def predictor(
        self,
        settings: GenerationSection,  # noqa: ARG002 - answers are known
        *,
        adapter: bool,
        label: str,  # noqa: ARG002
        emit: Emit,  # noqa: ARG002
        stop: StopToken,  # noqa: ARG002
    ) -> FakeVoices:
        """The engine's answers."""
        return FakeVoices(self.engine.answers, self.engine.base_answers, adapter)

    def read_adapter(
        self,
        folder: Path,  # noqa: ARG002 - its passport says enough
        passport: Passport,
        *,
        allow_base_mismatch: bool,  # noqa: ARG002 - every base model is the same here
        emit: Emit,  # noqa: ARG002
    ) -> FakeAdapter:
        """An adapter that answers what the engine says for its recipe."""
        recipe = passport.recipe
        answers = self.engine.adapter_answers.get(str(recipe.get("name")), self.engine.answers)
        return FakeAdapter(answers, int(recipe.get("lora", {}).get("rank", LoraSection().rank)))

    def schedule(self, order: SchedulerOrder, emit: Emit) -> FakeScheduler:  # noqa: ARG002
        """A scheduler that takes as long for a word as a training for a step."""
        voices = FakeVoices(self.engine.answers, self.engine.base_answers)
        return FakeScheduler(
            lambda ask: voices.say(ask, order.voice(ask.adapter)),
            settings=self.resolved.recipe.generation,
            max_rows=order.max_rows,
            max_waiting=order.max_waiting,
            seconds_per_word=self.engine.seconds_per_step,
        )

    def forgetting(self, *, emit: Emit, stop: StopToken) -> Forgetting:  # noqa: ARG002 - it takes no time
        """What the engine says, with the recipe's bound."""
        return bounded(self.engine.forgetting, self.resolved.recipe.evaluation.max_forgetting, emit)

    def share_base(self, former: object) -> None:
        """Every base model is the same here."""

    def give_base_back(self) -> None:
        """Forget the adapter."""
        self.has_adapter = False

    def release(self) -> None:
        """Forget the adapter."""
        self.has_adapter = False


def _spans(example: Example) -> tuple[Span, ...]:
    if example.text is not None:
        return (Span(example.text, len(example.text.split()), supervised=True),)
    turns = [(turn.content, turn.role == "assistant") for turn in example.messages]
    return tuple(Span(text, len(text.split()), supervised) for text, supervised in turns)
