import asyncio

from serving_on_fakes import Tuner, asking, run

CHAT = "/v1/chat/completions"
QUESTION = {"model": "teams", "messages": [{"role": "user", "content": "hi there"}]}


async def numbers(tuner: Tuner, *bodies, at_once: int = 1, **options) -> dict[str, float]:
    async with asking(tuner, **options) as client:
        for body in bodies:
            await asyncio.gather(*(client.post(CHAT, json=body) for _ in range(at_once)))
        page = await client.get("/metrics")
        assert page.headers["content-type"].startswith("text/plain")
        lines = [line.rsplit(" ", 1) for line in page.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}


def test_requests_tokens_and_times_are_counted_by_model():
    told = run(numbers(Tuner(), QUESTION, {**QUESTION, "model": "billing", "stream": True}))
    for model in ("teams", "billing"):
        label = f'{{model="{model}"}}'
        assert told[f'lorasdk_requests_total{{model="{model}",outcome="answered"}}'] == 1
        assert told[f"lorasdk_prompt_tokens_total{label}"] == 2
        assert told[f"lorasdk_completion_tokens_total{label}"] == 6
        assert told[f"lorasdk_request_seconds_count{label}"] == 1
        first = told[f"lorasdk_time_to_first_token_seconds_sum{label}"]
        assert 0 < first <= told[f"lorasdk_request_seconds_sum{label}"]


def test_each_end_has_its_name():
    told = run(numbers(Tuner(seconds_per_word=0.02), QUESTION, at_once=3, max_rows=1, max_waiting=1))
    assert told['lorasdk_requests_total{model="teams",outcome="answered"}'] == 2
    assert told['lorasdk_requests_total{model="unknown",outcome="busy"}'] == 1
    slow = run(numbers(Tuner(lambda _ask: "w " * 99, seconds_per_word=0.01), QUESTION, answer_seconds=0.1))
    assert slow['lorasdk_requests_total{model="teams",outcome="timeout"}'] == 1


def test_clients_make_no_labels_up():
    told = run(numbers(Tuner(), {**QUESTION, "model": "invented"}, {"model": "teams"}))
    assert told['lorasdk_requests_total{model="unknown",outcome="refused"}'] == 2
    assert not any("invented" in name for name in told)


def test_the_schedulers_load_is_told():
    told = run(numbers(Tuner(), QUESTION, max_rows=3, max_waiting=5))
    assert (told["lorasdk_max_rows"], told["lorasdk_max_waiting"]) == (3, 5)
    assert (told["lorasdk_running"], told["lorasdk_waiting"]) == (0, 0)
    idle = run(numbers(Tuner()))
    assert idle["lorasdk_max_rows"] == 0
