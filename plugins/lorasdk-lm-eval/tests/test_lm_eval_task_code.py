"""A recipe is data: tasks in its folder run no code, unless a program says that it trusts them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from lm_eval_fakes import FakePredictor, Heard, options, scores
from lm_eval_tasks import PLAIN, refusal, write_task
from lorasdk_lm_eval import LmEvalPlugin
from lorasdk_lm_eval.evaluator import LmEval

from lorasdk import PluginError

TOUCHING = (
    "from pathlib import Path\n\nPath(__file__).with_name('ran').touch()\n\n\ndef text(doc):\n    return 'Which?'\n"
)


def write_code(folder: Path, line: str = "doc_to_text: !function shady.text") -> Path:
    """A task that names a function, whose module leaves a trace when it is imported."""
    write_task(folder)
    task = folder / "tasks" / "own.yaml"
    config = {key: value for key, value in PLAIN.items() if key != "doc_to_text"}
    task.write_text(yaml.safe_dump({"task": "own", **config}) + line + "\n")
    (folder / "tasks" / "shady.py").write_text(TOUCHING)
    return folder / "tasks" / "ran"


@pytest.mark.parametrize("tag", ["!function", "!<!function>", "!%66unction"])
def test_functions_are_refused_unimported(tag: str, tmp_path: Path):
    ran = write_code(tmp_path, f"doc_to_text: {tag} shady.text")
    (problem,) = refusal(tmp_path, options("own", include_path="tasks"))
    assert problem.code == "lm_eval.task-code"
    assert "trust_task_code=True" in problem.fix
    assert not ran.exists()


def test_functions_of_included_files_are_refused(tmp_path: Path):
    ran = write_code(tmp_path)
    (tmp_path / "tasks" / "own.yaml").rename(tmp_path / "tasks" / "base.txt")
    (tmp_path / "tasks" / "own.yaml").write_text("include: base.txt\ntask: own\ndoc_to_text: '{{question}}'\n")
    assert refusal(tmp_path, options("own", include_path="tasks"))[0].code == "lm_eval.task-code"
    assert not ran.exists()


def test_functions_run_where_a_program_trusts_the_folder(tmp_path: Path):
    ran = write_code(tmp_path)
    (evaluator,) = LmEvalPlugin(trust_task_code=True).evaluators()
    (example,) = evaluator.examples(options("own", include_path="tasks"), Heard().context(tmp_path))
    assert example.prompt[0].content == "Which?"
    assert ran.exists()


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"metric_list": [{"metric": "./evil.py"}]}, "'./evil.py'"),
        ({"metric_list": [{"metric": "exact_match", "hf_evaluate": True}]}, "exact_match"),
        ({"dataset_path": "pandas"}, "pandas"),
        ({"dataset_kwargs": {"data_files": {"test": "rows.jsonl"}, "builder": "x"}}, "builder"),
        ({"use_prompt": "promptsource:x"}, "use_prompt"),
        ({"class": "shady.Task"}, "class"),
    ],
)
def test_what_would_fetch_or_load_code_is_refused(more: dict[str, object], found: str, tmp_path: Path):
    (problem,) = refusal(tmp_path, write_task(tmp_path, **more))
    assert problem.code == "lm_eval.task-code"
    assert found in problem.found


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__cl' ~ 'ass__'].__base__ }}",
        "{{ question | attr('__class__') | attr('__base__') }}",
        "{{ '{0.__class__.__base__}'.format(question) }}",
        "{{ cycler.__init__.__globals__ }}",
    ],
)
def test_templates_cannot_leave_their_sandbox(template: str, tmp_path: Path):
    (problem,) = refusal(tmp_path, write_task(tmp_path, doc_to_text=template))
    assert problem.code == "lm_eval.task-failed"
    assert "unsafe" in problem.message or "Undefined" in problem.message


def test_a_group_cannot_take_the_warning_from_a_task(tmp_path: Path):
    (tmp_path / "tasks").mkdir()
    group = {"group": "mine", "task": [{"task": "humaneval", "unsafe_code": False}]}
    (tmp_path / "tasks" / "mine.yaml").write_text(yaml.safe_dump(group))
    problems = refusal(tmp_path, options("mine", include_path="tasks"))
    assert {problem.code for problem in problems} == {"lm_eval.unsupported-task", "lm_eval.task-code"}


def test_a_group_cannot_give_the_harness_a_model_to_load(tmp_path: Path):
    (tmp_path / "tasks").mkdir()
    member = {"task": "niah_single_1", "metadata": {"pretrained": "some/model"}}
    (tmp_path / "tasks" / "mine.yaml").write_text(yaml.safe_dump({"group": "mine", "task": [member]}))
    (problem,) = refusal(tmp_path, options("mine", include_path="tasks"))
    assert (problem.code, problem.found) == ("lm_eval.task-code", "the key 'metadata'")


def test_tasks_that_a_group_describes_on_the_spot_are_data_too(tmp_path: Path):
    write_task(tmp_path)
    inline = {"task": "inline", **PLAIN, "metric_list": [{"metric": "./evil.py"}]}
    (tmp_path / "tasks" / "mine.yaml").write_text(yaml.safe_dump({"group": "mine", "task": [inline, "own"]}))
    (problem,) = refusal(tmp_path, options("mine", include_path="tasks"))
    assert problem.code == "lm_eval.task-code"


def test_a_group_with_a_task_of_its_own_finds_that_tasks_data(tmp_path: Path):
    write_task(tmp_path)
    group = {"group": "mine", "task": [{"task": "inline", **PLAIN}, "own"]}
    (tmp_path / "tasks" / "mine.yaml").write_text(yaml.safe_dump(group))
    asked = options("mine", include_path="tasks")
    assert scores(asked, FakePredictor(texts={"lemon": "1"}), base_dir=tmp_path) == [1.0, 1.0]


def test_an_own_task_comes_before_one_of_the_same_name(tmp_path: Path):
    write_task(tmp_path)
    own = tmp_path / "tasks" / "own.yaml"
    own.write_text(own.read_text().replace("task: own", "task: arc_easy"))
    (example,) = LmEval().examples(options("arc_easy", include_path="tasks"), Heard().context(tmp_path))
    assert "lemon" in example.prompt[0].content


def test_data_files_are_relative_to_the_file_that_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = write_task(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert len(LmEval().examples(asked, Heard().context(tmp_path))) == 1


def test_files_that_describe_no_task_are_in_nobodys_way(tmp_path: Path):
    asked = write_task(tmp_path)
    (tmp_path / "tasks" / "recipe.yaml").write_text("name: another\n")
    (tmp_path / "tasks" / "broken.yaml").write_text("task: [\n")
    assert len(LmEval().examples(asked, Heard().context(tmp_path))) == 1


def test_a_task_that_is_not_asked_for_is_not_judged(tmp_path: Path):
    asked = write_task(tmp_path)
    (tmp_path / "tasks" / "other.yaml").write_text("task: other\ndoc_to_text: !function shady.text\n")
    assert len(LmEval().examples(asked, Heard().context(tmp_path))) == 1
    with pytest.raises(PluginError):
        LmEval().examples(options("other", include_path="tasks"), Heard().context(tmp_path))
