"""The end of `lorasdk serve`: what was begun is finished, and the exit code says why it ended."""

import json
import signal
from pathlib import Path

import httpx2
import pytest
from served import serving
from tiny_training import tiny_recipe


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_a_signal_lets_a_running_stream_end(tiny_model_dir: Path, tmp_path: Path, number, code):
    recipe = tmp_path / "recipe.json"
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    recipe.write_text(json.dumps(tiny_recipe(tiny_model_dir, tmp_path / "runs")))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 300, "stream": True}
    with serving(recipe, "--base-id", "m", cache=tmp_path / "cache") as served:
        with httpx2.stream("POST", f"{served.base_url}/chat/completions", json=body, timeout=60) as response:
            lines = response.iter_lines()
            first = next(lines)
            served.process.send_signal(number)
            rest = [line for line in lines if line]
        assert served.end() == code
    assert first.startswith("data: ")
    assert rest[-1] == "data: [DONE]"
    assert json.loads(rest[-2].removeprefix("data: "))["choices"][0]["finish_reason"] in {"length", "stop"}
    assert "finishing what was begun" in served.said
    assert "Traceback" not in served.said
