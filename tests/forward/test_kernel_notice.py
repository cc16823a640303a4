from __future__ import annotations

import pytest
import torch
from tiny_shapes import build

from lorasdk.forward import kernel_notice as notices
from lorasdk.forward.cuda_cross_entropy import HeadLoss
from lorasdk.forward.flex_attention import HeadShape
from lorasdk.forward.kernel_notice import describe, head_shape, kernel_notice
from lorasdk.forward.linear_cross_entropy import linear_cross_entropy

CPU = torch.device("cpu")


def test_a_cpu_has_nothing_to_tell():
    assert kernel_notice(build("llama")) is None


def test_heads_are_read_from_the_configuration():
    assert head_shape(build("qwen2")) == HeadShape(CPU, torch.float32, heads=4, key_heads=2, size=8)


@pytest.mark.parametrize(
    ("obstacle", "said"), [("", "FlexAttention"), ("it rains", "batched matrix products, since it rains")]
)
def test_it_names_what_was_chosen_and_why_it_is_not_the_fastest(obstacle: str, said: str, monkeypatch):
    monkeypatch.setattr(notices, "flex_obstacle", lambda _shape: obstacle)
    monkeypatch.setattr(notices, "choose_head_loss", lambda **_: HeadLoss("a-library", linear_cross_entropy))
    notice = describe(HeadShape(CPU, torch.float32, 4, 2, 8))
    assert (notice.code, notice.message) == ("training.kernels", f"loss by a-library; attention by {said}")
