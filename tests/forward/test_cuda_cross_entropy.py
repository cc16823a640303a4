"""The adapters of the kernel libraries, with stand-ins that have their signatures and keep to their promises."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
import torch
from torch.nn.functional import cross_entropy

from lorasdk.forward import cuda_cross_entropy
from lorasdk.forward.cuda_cross_entropy import choose_head_loss, cut_nats, liger_nats
from lorasdk.forward.linear_cross_entropy import linear_cross_entropy

CUDA = torch.device("cuda", 0)
CUT, LIGER = "cut_cross_entropy", "liger_kernel"


def cut_stand_in(e, c, targets, *, reduction="mean", filter_eps="high"):
    assert filter_eps is None, "unlikely tokens would be left out of the gradient"
    return cross_entropy(e @ c.T, targets, reduction=reduction)


def liger_stand_in(hidden, weight, target, *, reduction="mean"):
    assert reduction == "sum", "per target, the logits would be computed twice"
    return cross_entropy(hidden @ weight.T, target, reduction=reduction)


@pytest.fixture
def libraries(monkeypatch):
    contents = {
        CUT: {"linear_cross_entropy": cut_stand_in},
        LIGER: {},
        f"{LIGER}.transformers": {},
        f"{LIGER}.transformers.functional": {"liger_fused_linear_cross_entropy": liger_stand_in},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        module.__spec__ = ModuleSpec(name, None)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.usefixtures("libraries")
@pytest.mark.parametrize("nats", [cut_nats, liger_nats])
@pytest.mark.parametrize("counts", [[1, 1, 1, 1, 1], [1, 3, 2, 1, 3]])
def test_every_target_counts_by_its_weight_in_loss_and_gradient(nats, counts):
    torch.manual_seed(0)
    hidden, head = torch.randn(5, 8, requires_grad=True), torch.randn(33, 8)
    labels, weights = torch.randint(33, (5,)), torch.tensor(counts, dtype=torch.float32)
    ours, true = (loss(hidden, head, labels, weights) for loss in (nats, linear_cross_entropy))
    torch.testing.assert_close(ours, true)
    torch.testing.assert_close(*(torch.autograd.grad(loss, hidden)[0] for loss in (ours, true)))


@pytest.mark.parametrize(
    ("capability", "dtype", "installed", "chosen"),
    [
        ((8, 0), torch.bfloat16, {CUT, LIGER}, "cut-cross-entropy"),
        ((8, 0), torch.bfloat16, {LIGER}, "liger-kernel"),
        ((8, 0), torch.float32, {CUT, LIGER}, "liger-kernel"),
        ((7, 5), torch.float16, {CUT, LIGER}, "liger-kernel"),
        ((7, 5), torch.float16, {CUT}, "built-in"),
        ((9, 0), torch.bfloat16, set(), "built-in"),
    ],
)
def test_the_fastest_that_is_installed_and_made_for_the_device_is_chosen(
    capability, dtype, installed, chosen, monkeypatch
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(cuda_cross_entropy, "find_spec", lambda name: name in installed or None)
    assert choose_head_loss(device=CUDA, dtype=dtype).name == chosen


def test_other_devices_use_our_own_whatever_is_installed(monkeypatch):
    monkeypatch.setattr(cuda_cross_entropy, "find_spec", lambda _name: True)
    choice = choose_head_loss(device=torch.device("cpu"), dtype=torch.bfloat16)
    assert choice.nats is linear_cross_entropy


@pytest.mark.gpu
@pytest.mark.parametrize(("module", "nats"), [(CUT, cut_nats), (LIGER, liger_nats)])
def test_the_libraries_agree_with_our_own_on_cuda(module: str, nats):
    pytest.importorskip(module)
    torch.manual_seed(0)
    hidden = torch.randn(300, 256, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    head = torch.randn(5000, 256, device="cuda", dtype=torch.bfloat16) / 16
    labels, weights = torch.randint(5000, (300,), device="cuda"), torch.randint(1, 4, (300,), device="cuda").float()
    ours, own = (loss(hidden, head, labels, weights) for loss in (nats, linear_cross_entropy))
    torch.testing.assert_close(ours, own, rtol=1e-2, atol=0)
    (mine, true) = (torch.autograd.grad(loss, hidden)[0].float() for loss in (ours, own))
    assert (mine - true).norm() <= 0.02 * true.norm()
