"""Divergences are those of the formula in float64, never negative, and computed a few tokens at a time."""

from __future__ import annotations

import pytest
import torch

from lorasdk.forward import divergence as module
from lorasdk.forward.divergence import Foresight, departure, divergence

TOKENS, SIZE, WORDS = 37, 8, 61


def pair(scale: float, *, rows: int = TOKENS) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities of two models whose logits differ by about `scale`."""
    random = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(rows, WORDS, generator=random)
    others = logits + scale * torch.randn(rows, WORDS, generator=random)
    return logits.log_softmax(-1), others.log_softmax(-1)


def plain(ln_p: torch.Tensor, ln_q: torch.Tensor) -> torch.Tensor:
    """The formula, normalised in float64."""
    ln_p, ln_q = (one.double().log_softmax(-1) for one in (ln_p, ln_q))
    return (ln_p.exp() * (ln_p - ln_q)).sum(-1)


@pytest.mark.parametrize("scale", [1e-3, 0.1, 1.0, 10.0])
def test_divergences_are_those_of_the_formula_also_where_they_are_tiny(scale: float):
    ln_p, ln_q = pair(scale)
    torch.testing.assert_close(divergence(ln_p, ln_q).double(), plain(ln_p, ln_q), rtol=2e-3, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 1e-7, 1e-6, 1e-5])
def test_rounding_makes_no_divergence_negative(scale: float):
    found = divergence(*pair(scale, rows=1000))
    assert (found >= 0).all()
    assert (found <= max(1e-9, scale)).all()
    assert scale or (found == 0).all()


def test_a_device_that_rounds_down_makes_none_negative_either(monkeypatch):
    real, low = torch.expm1, torch.tensor(-torch.inf)
    monkeypatch.setattr(torch, "expm1", lambda d: torch.nextafter(real(d), low))
    assert (divergence(*pair(1e-7, rows=1000)) >= 0).all()


def test_what_one_model_excludes_is_infinite_or_nothing():
    half, sure = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[1.0, 0.0]]).log()
    assert divergence(half, sure).item() == float("inf")
    assert divergence(sure, half).item() == pytest.approx(0.6931472)
    assert divergence(sure, sure).item() == 0


def test_certainties_that_contradict_each_other_do_not_overflow():
    one, other = (torch.tensor([pair]).log_softmax(-1) for pair in ([200.0, 0.0], [0.0, 200.0]))
    assert divergence(one, other).item() == pytest.approx(200)


def test_a_model_that_computes_no_numbers_has_no_divergence():
    ln_p, ln_q = pair(1.0)
    assert divergence(ln_p, ln_q * float("nan")).isnan().all()


def foresights(*, plain_head: bool) -> tuple[Foresight, Foresight]:
    random = torch.Generator().manual_seed(1)
    labels = torch.randint(WORDS, (TOKENS,), generator=random)
    head = torch.randn(WORDS, SIZE, generator=random)
    states = [torch.randn(TOKENS, SIZE, generator=random) for _ in range(2)]
    if plain_head:
        return Foresight(states[0], labels, head), Foresight(states[1], labels, head)
    return Foresight(states[0] @ head.T, labels), Foresight(states[1], labels, head)


@pytest.mark.parametrize("plain_head", [True, False])
def test_a_comparison_sums_all_tokens_and_holds_the_logits_of_a_few(plain_head: bool, monkeypatch):
    base, tuned = foresights(plain_head=plain_head)
    chances = [one.logits(slice(None)).log_softmax(-1) for one in (base, tuned)]
    nats = [-one.gather(1, base.labels[:, None]).sum().item() for one in chances]
    held = []
    real = Foresight.logits
    monkeypatch.setattr(Foresight, "logits", lambda self, part: held.append(real(self, part)) or held[-1])
    monkeypatch.setattr(module, "CHUNK_LOGITS", 10 * WORDS)
    monkeypatch.setattr(module, "SOFTMAX_LOGITS", 3 * WORDS)
    found = departure(base, tuned)
    assert found.divergence.item() == pytest.approx(plain(*chances).sum().item(), rel=1e-5)
    assert [found.base_nats.item(), found.tuned_nats.item()] == pytest.approx(nats, rel=1e-6)
    assert [len(logits) for logits in held] == [10, 10, 10, 10, 10, 10, 7, 7]


def test_labels_do_not_leak_gradients_or_modes():
    base, tuned = foresights(plain_head=True)
    found = departure(Foresight(base.states.requires_grad_(), base.labels, base.head), tuned)
    assert not found.divergence.requires_grad
