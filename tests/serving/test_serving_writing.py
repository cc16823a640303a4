"""What answers look like on the wire, whole and in chunks."""

from serving_on_fakes import ANSWER, Tuner, chat, events, post

from lorasdk.asking import ChosenToken, Piece, TokenChance
from lorasdk.results import Completion
from lorasdk.serving.completion_writer import CompletionWriter
from lorasdk.serving.writing import Answered, Head


def test_a_whole_message():
    response = chat().json()
    (choice,) = response["choices"]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": f"True: {ANSWER}", "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert response["object"] == "chat.completion"
    assert response["usage"] == {"prompt_tokens": 1, "completion_tokens": 6, "total_tokens": 7}


def test_a_stream_is_the_whole_message_in_deltas():
    chunks = events(chat(stream=True))
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(choice["delta"].get("content", "") for choice in choices) == f"True: {ANSWER}"
    assert [choice["finish_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert "usage" not in chunks[0]


def test_a_stream_ends_with_the_usage_when_asked():
    *chunks, last = events(chat(stream=True, stream_options={"include_usage": True}, n=2))
    assert {chunk["usage"] for chunk in chunks} == {None}
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 1, "completion_tokens": 12, "total_tokens": 13}


def test_the_choices_of_a_stream_are_told_apart():
    texts = {0: "", 1: ""}
    for chunk in events(chat(stream=True, n=2)):
        for choice in chunk["choices"]:
            texts[choice["index"]] += choice["delta"].get("content", "")
    assert set(texts.values()) == {f"True: {ANSWER}"}


def test_stop_sequences_and_lengths_say_so():
    stopped = chat(stop=[" three", "x"]).json()["choices"][0]
    assert (stopped["message"]["content"], stopped["finish_reason"]) == ("True: one two", "stop")
    cut = chat(max_tokens=2).json()["choices"][0]
    assert (cut["message"]["content"], cut["finish_reason"]) == ("True: one", "length")


def test_log_probabilities_of_a_message_whole_and_in_deltas_are_the_same():
    asked = {"logprobs": True, "top_logprobs": 2, "seed": 1}
    whole = chat(**asked).json()["choices"][0]["logprobs"]["content"]
    assert whole[0]["token"] == "True:"
    assert bytes(whole[1]["bytes"]).decode() == " one"
    assert [len(token["top_logprobs"]) for token in whole] == [2] * 5
    deltas = [choice for chunk in events(chat(stream=True, **asked)) for choice in chunk["choices"]]
    assert [token for choice in deltas for token in (choice["logprobs"] or {"content": []})["content"]] == whole


def test_log_probabilities_of_a_text_say_where_tokens_stand():
    asked = {"model": "teams", "prompt": "Once", "logprobs": 1}
    choice = post("/v1/completions", asked).json()["choices"][0]
    told = choice["logprobs"]
    for token, offset in zip(told["tokens"], told["text_offset"], strict=True):
        assert choice["text"].startswith(token, offset)
    assert told["token_logprobs"] == [
        top[token] for top, token in zip(told["top_logprobs"], told["tokens"], strict=True)
    ]
    chunks = [c["logprobs"] for e in events(post("/v1/completions", {**asked, "stream": True})) for c in e["choices"]]
    assert [offset for chunk in chunks if chunk for offset in chunk["text_offset"]] == told["text_offset"]


def test_a_letter_of_several_tokens_counts_once():
    tokens = [ChosenToken(TokenChance("\ufffd", raw, -1.0), ()) for raw in (b"\xe4\xb8", b"\xad", b"a")]
    writer = CompletionWriter(Head("id", "m", "fp"), True, ("",))
    whole = writer.whole(0, Answered(Completion("\u4e2da", 1, 3, "stop"), tuple(tokens)))
    assert whole["logprobs"]["text_offset"] == [0, 0, 1]
    assert writer.piece(0, Piece("", ()))["logprobs"]["tokens"] == []


def test_the_fingerprint_belongs_to_the_model_that_answers():
    prints = [chat(model=model).json()["system_fingerprint"] for model in ("teams", "billing", "m")]
    assert len(set(prints)) == 3
    assert chat(model="m").json()["choices"][0]["message"]["content"].startswith("False:")


def test_the_fingerprint_changes_with_the_adapter_of_a_name():
    tuner = Tuner()
    before = chat(tuner, model="billing").json()["system_fingerprint"]
    assert chat(tuner, model="billing").json()["system_fingerprint"] == before
    tuner.adapters.named["billing"].created = "later"
    assert chat(tuner, model="billing").json()["system_fingerprint"] != before


def test_an_answer_without_a_word_is_one_too():
    assert chat(Tuner(lambda _ask: "")).json()["choices"][0]["message"]["content"] == ""
    assert events(chat(Tuner(lambda _ask: ""), stream=True))[-1]["choices"][0]["finish_reason"] == "stop"
