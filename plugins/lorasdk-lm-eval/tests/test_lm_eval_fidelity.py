"""The same documents, prompts and scores as the harness' own `evaluate`, for tasks of the folder and for its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import datasets
import pytest
from lm_eval_fakes import TOY_TASKS, FakePredictor, Heard, options
from lorasdk_lm_eval.evaluator import LmEval
from lorasdk_lm_eval.guest import OTHER_SEED
from lorasdk_lm_eval.options import LmEvalOptions

from lorasdk import AnswerScore, Completion, Message

QUESTION = "What melts in the sun?"
ROWS = {
    "allenai/ai2_arc": {
        "question": QUESTION,
        "choices": {"label": ["A", "B"], "text": ["stone", "ice cream"]},
        "answerKey": "B",
    },
    "Rowan/hellaswag": {
        "activity_label": "Baking",
        "ctx_a": "She mixes flour and water.",
        "ctx_b": "then she",
        "endings": ["kneads the dough.", "paints a fence.", "rows ashore.", "sings."],
        "label": "0",
    },
    "allenai/winogrande": {
        "sentence": "The cup fell off the shelf because the _ was loose.",
        "option1": "cup",
        "option2": "shelf",
        "answer": "2",
    },
    "EleutherAI/lambada_openai": {"text": "The miller ground the corn to flour"},
    "openai/gsm8k": {"question": "Two hens lay three eggs each. How many eggs?", "answer": "2 * 3 = 6\n#### 6"},
    "truthfulqa/truthful_qa": {
        "question": QUESTION,
        "mc1_targets": {"choices": ["Ice does.", "Stone does."], "labels": [1, 0]},
        "mc2_targets": {"choices": ["Ice does.", "Snow does.", "Stone does."], "labels": [1, 1, 0]},
    },
}
"""One document of each benchmark's form, with content of our own."""


def different(row: dict[str, object], number: int) -> dict[str, object]:
    """The row with its number in its longest text, so that documents differ."""
    key = max((key for key, value in row.items() if isinstance(value, str)), key=lambda key: len(str(row[key])))
    return {**row, key: f"({number}) {row[key]}"}


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The benchmarks' data sets as they would come from the hub."""
    real = datasets.load_dataset

    def load(path: str, name: str | None = None, **more: object) -> object:
        if path not in ROWS:
            return real(path, name, **more)
        rows = datasets.Dataset.from_list([different(ROWS[path], number) for number in range(8)])
        return datasets.DatasetDict(dict.fromkeys(("train", "validation", "test"), rows))

    monkeypatch.setattr(datasets, "load_dataset", load)
    return None


def number(prompt: str, answer: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{prompt}|{answer}".encode()).digest()[:4])


def text(turns: object) -> str:
    return turns if isinstance(turns, str) else "".join(f"<{turn.role}>{turn.content}" for turn in turns)


def written(prompt: str) -> str:
    return f"I think #### {number(prompt, '') % 7}\nQuestion: what else"


class Arbitrary(FakePredictor):
    """Answers that depend on every letter of the prompt."""

    def complete(self, prompts):
        self.prompts += prompts
        return [Completion(written(text(prompt)), 1, 1, "stop") for prompt in prompts]

    def log_probabilities(self, prompts, answers):
        self.prompts += prompts
        found = [number(text(p), a) for p, a in zip(prompts, answers, strict=True)]
        return [AnswerScore(-(value % 1000) / 10, 1, greedy=value % 2 == 0) for value in found]


def arbitrary_lm():
    """The same answers as the harness asks for them."""
    from lm_eval.api.model import LM

    class ArbitraryLM(LM):
        tokenizer_name = "none"

        def apply_chat_template(self, turns, add_generation_prompt=True):
            return text([Message(turn["role"], turn["content"]) for turn in turns])

        def loglikelihood(self, requests):
            # Ours leaves out white space at the beginning of a turn.
            found = [number(as_prompt(r.args[0]), r.args[1].lstrip() if chat(r) else r.args[1]) for r in requests]
            return [(-(value % 1000) / 10, value % 2 == 0) for value in found]

        def loglikelihood_rolling(self, requests):
            raise NotImplementedError

        def generate_until(self, requests):
            return [
                min((written(as_prompt(r.args[0])).split(stop)[0] for stop in r.args[1]["until"]), key=len)
                for r in requests
            ]

    return ArbitraryLM()


def chat(request) -> bool:
    return request.args[0].startswith(("<user>", "<system>"))


def as_prompt(context: str) -> str:
    return context if context.startswith(("<user>", "<system>")) else f"<user>{context}"


def theirs(asked: LmEvalOptions, metric: str, answer_filter: str) -> list[float]:
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    local = str(TOY_TASKS) if asked.include_path else None
    with pytest.MonkeyPatch.context() as patch:
        for slow in ("add_env_info", "get_git_commit_hash"):
            patch.setattr(f"lm_eval.evaluator.{slow}", lambda *_: None)
        patch.chdir(TOY_TASKS)  # where the harness itself looks for relative data files
        results = simple_evaluate(
            arbitrary_lm(),
            tasks=list(asked.tasks),
            num_fewshot=asked.num_fewshot,
            limit=asked.limit,
            task_manager=TaskManager(include_path=local, include_defaults=local is None),
            apply_chat_template=asked.prompt != "text",
            fewshot_as_multiturn=asked.prompt == "turns",
            bootstrap_iters=0,
            fewshot_random_seed=OTHER_SEED,
        )
    samples = [sample for task in results["samples"].values() for sample in task]
    return [float(sample[metric]) for sample in samples if sample["filter"] == answer_filter]


@pytest.mark.filterwarnings("ignore")  # the harness' own command, which only this test calls
@pytest.mark.parametrize(("prompt", "shots"), [("turns", 2), ("one_turn", 2), ("text", None)])
@pytest.mark.parametrize(
    ("task", "metric", "answer_filter"),
    [
        ("toy_colours", "acc", "none"),
        ("toy_colours", "acc_norm", "none"),
        ("toy_sums", "exact_match", "number"),
        ("toy_last_word", "acc", "none"),
    ],
)
def test_tasks_of_the_folder(task: str, metric: str, answer_filter: str, shots: int | None, prompt: str):
    asked = options(task, metric=metric, answer_filter=answer_filter, num_fewshot=shots, prompt=prompt)
    assert ours(asked) == theirs(asked, metric, answer_filter)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("at_hand", "index")
@pytest.mark.parametrize(("prompt", "shots"), [("turns", 3), ("text", 0)])
@pytest.mark.parametrize(
    ("task", "metric", "answer_filter"),
    [
        ("arc_easy", "acc_norm", "none"),
        ("gsm8k", "exact_match", "strict-match"),
        ("gsm8k", "exact_match", "flexible-extract"),
        ("hellaswag", "acc", "none"),
        ("lambada_openai", "acc", "none"),
        ("truthfulqa_mc2", "acc", "none"),
        ("winogrande", "acc", "none"),
    ],
)
def test_tasks_of_the_harness(task: str, metric: str, answer_filter: str, shots: int, prompt: str):
    asked = LmEvalOptions(
        tasks=(task,), metric=metric, answer_filter=answer_filter, num_fewshot=shots, prompt=prompt, limit=6
    )
    assert ours(asked) == theirs(asked, metric, answer_filter)


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spares the harness' command the seconds in which it reads its catalogue, for every test."""
    from lm_eval.tasks import TaskManager, manager
    from lorasdk_lm_eval.harness import installed_tasks

    entries = installed_tasks()
    monkeypatch.setattr(manager.TaskIndex, "build", lambda _self, _paths: dict(entries))
    assert "arc_easy" in TaskManager().all_tasks


def ours(asked: LmEvalOptions) -> list[float]:
    context = Heard().context(TOY_TASKS.parent)
    evaluator = LmEval()
    return evaluator.score(asked, evaluator.examples(asked, context), Arbitrary(), context)
