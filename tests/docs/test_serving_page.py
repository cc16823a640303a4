"""The page about serving: its snippets, asked of a server that runs."""

import io
import re
import threading
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from lorasdk import FineTuner
from lorasdk.cli.app import app as commands
from lorasdk.serving import ServingOptions, create_app
from lorasdk.serving.running import bound, run_app
from lorasdk.stopping import StopToken
from lorasdk.testing import FakeEngine, fake_finetuner

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
ANSWERS = {
    "I was charged twice.": "billing",
    "Say more.": "It is about an invoice.",
    "The app crashes.": "mobile",
}
SNIPPETS = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def tuner(tmp_path: Path) -> Iterator[FineTuner]:
    recipe = {"name": "teams", "output_dir": str(tmp_path), "training": {"max_steps": 1}}
    rows = [{"prompt": "a", "completion": "b"}]
    with fake_finetuner(recipe, engine=FakeEngine(answers=ANSWERS), data={"train": rows}) as made:
        made.train()
        yield made


@pytest.fixture
def address(tuner: FineTuner) -> Iterator[str]:
    stop, listener = StopToken(), bound("127.0.0.1", 0)
    listener.listen()  # so that a client that comes too early waits
    options = {"stop": stop, "drain_seconds": 0}
    server = threading.Thread(target=run_app, args=(create_app(tuner), listener), kwargs=options)
    server.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    stop.stop()
    server.join()
    listener.close()


def test_snippets_run_and_print_what_is_shown(address: str, tuner: FineTuner):
    names: dict[str, object] = {"tuner": tuner}
    for code, shown in SNIPPETS:
        with redirect_stdout(io.StringIO()) as printed:
            exec(compile(code.replace("http://127.0.0.1:8000", address), "serving.md", "exec"), names)
        assert printed.getvalue().strip() == shown.strip()
    names["client"].close()
    assert len(SNIPPETS) == 4


def test_bounds_on_the_page_are_the_defaults():
    fields = ServingOptions.__dataclass_fields__
    shown = dict(re.findall(r"`(?:--)?([a-z-_]+)[ =]([\d_]+)`", PAGE))
    for name, value in shown.items():
        default = 30 if name == "drain-seconds" else fields[name.replace("-", "_")].default
        assert float(value) == float(default), name
    assert len(shown) == 11


def test_options_on_the_page_exist():
    (serve,) = [command.callback for command in commands.registered_commands if command.callback.__name__ == "serve"]
    known = {"--" + name.strip("_").replace("_", "-") for name in serve.__annotations__}
    assert set(re.findall(r"(?<=[ `])--[a-z-]+", PAGE)) <= known
