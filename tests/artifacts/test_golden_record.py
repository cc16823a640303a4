import pytest
import torch

from lorasdk import AdapterError
from lorasdk.artifacts.golden import POSITIONS, GoldenPrompt, largest_difference, log_probabilities, mean_divergence
from lorasdk.artifacts.golden_record import FILE_NAME, difference_from, read_record, record_of, rows_at_hand
from lorasdk.artifacts.proof import proof_of

FIXED = GoldenPrompt((1, 5, 9, 20, 2), text="hi")
ROW = GoldenPrompt((1, 7, 7, 30, 2), row=4)


@pytest.fixture(scope="module")
def model():
    from tiny_shapes import build

    return build("llama").eval()


@pytest.fixture(scope="module")
def record(model):
    return record_of([FIXED, ROW], [log_probabilities(model, prompt) for prompt in (FIXED, ROW)], dtype="float32")


def test_the_same_model_says_to_the_bit_what_was_recorded(model, record):
    read = type(record).model_validate_json(record.model_dump_json())
    assert difference_from(read, model, [ROW]) == 0.0


def test_another_model_of_the_same_shapes_does_not(model, record):
    from tiny_shapes import SHAPES

    torch.manual_seed(7)
    assert difference_from(record, SHAPES["llama"]().eval(), []) > 0.1


def test_rows_are_asked_again_only_where_they_are_at_hand(record):
    assert (rows_at_hand(record, [ROW]), rows_at_hand(record, [GoldenPrompt((3, 3), row=4)])) == (1, 0)


def test_a_model_that_says_no_number_differs(record):
    values = [torch.zeros(2, 8).log_softmax(-1)] * 2
    broken = [values[0], values[1] * float("nan")]
    proof = proof_of([FIXED, ROW], expected=values, found=broken, dtype="float32", tolerance=1.0)
    assert proof.verification.verdict == "differs"


def test_only_the_last_positions_of_a_long_prompt_are_compared(model):
    prompt = GoldenPrompt(tuple(i % 60 for i in range(80)))
    assert log_probabilities(model, prompt).shape[0] == prompt.positions == POSITIONS


def test_a_difference_is_that_of_the_token_that_moved_most():
    a = torch.tensor([[0.5, 0.25, 0.25]]).log()
    b = torch.tensor([[0.5, 0.3, 0.2]]).log()
    assert largest_difference(a, b) == pytest.approx(0.2231, abs=1e-4)
    assert mean_divergence([a], [b]) == pytest.approx(0.0102, abs=1e-4)


def test_a_damaged_record_is_told(tmp_path):
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(AdapterError) as caught:
        read_record(tmp_path)
    assert caught.value.code == "verify.damaged-record"
