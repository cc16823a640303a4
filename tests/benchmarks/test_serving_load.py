"""The load test of the server, shortly and on the tiny model."""

from pathlib import Path

from benchmarks import serving
from benchmarks.serving_load import Load, Question, _judge


def test_clients_get_every_answer_each_from_the_right_adapter(tiny_model_dir: Path, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(serving, "ROWS", 4)
    monkeypatch.setattr(serving, "WAITING", 4)
    monkeypatch.setattr(serving, "TRAINING", {"max_steps": 30, "batch_size": 8, "learning_rate": 2e-2})
    told: list[str] = []
    assert serving.measure(str(tiny_model_dir), tmp_path, clients=12, seconds=2, adapters=2, tell=told.append), told
    assert any(line.startswith("lost                    0") for line in told)


def test_an_answer_of_another_adapter_is_noticed():
    alone = {Question(model, "?", 5): answer for model, answer in (("a", "one"), ("b", "two"))}
    load = Load(seconds=1.0)
    for answer in ("one", "two", "three"):
        _judge(Question("a", "?", 5), answer, alone, load)
    assert (load.foreign, len(load.other)) == (1, 2)
    assert "of another adapter      1" in list(serving.table(load))
