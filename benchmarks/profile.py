"""Where the time of a training step goes, and how far it is from what the machine's matrix products could do."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.tuned_model import token_rows, tuned_model
from benchmarks.workloads import Workload

KINDS = {
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "addmm_", "baddbmm_", "linear"),
    "softmax": ("_softmax", "_softmax_backward_data", "_log_softmax"),
    "activations": ("silu", "silu_backward", "gelu", "gelu_backward"),
    "element-wise": (
        "mul",
        "mul_",
        "add",
        "add_",
        "addcmul_",
        "sub",
        "div_",
        "pow",
        "rsqrt_",
        "exp_",
        "log",
        "neg",
        "square_",
    ),
    "copies": ("copy_", "index_select", "index", "cat", "index_add_", "scatter_", "gather", "clone", "index_fill_"),
    "reductions": ("sum", "linalg_vector_norm", "amax", "argmax", "mean"),
}
REPEATS = 7


def measure(workload: Workload, model: Path, *, tell: Callable[[str], None]) -> None:
    """Profile one training step on a workload's first rows."""
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    from lorasdk.forward.choosing import choose_passes

    tuned, rows = tuned_model(model), token_rows(workload.rows[: workload.batch_size], model)
    passes = choose_passes(tuned, max_tokens=2048, max_rows=None).passes
    tuned.train()

    def step() -> None:
        for part in passes.split(rows):
            with passes.ready():
                passes.loss(part).backward()
        tuned.zero_grad()

    step()
    seconds = median(_seconds(step) for _ in range(REPEATS))
    with profiler(activities=[ProfilerActivity.CPU]) as found:
        step()
    shares: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        name = event.key.removeprefix("aten::")
        kind = next((kind for kind, names in KINDS.items() if name in names), "Python, dispatch, allocation, other")
        shares[kind] += event.self_cpu_time_total
    total = sum(shares.values())
    for kind, share in sorted(shares.items(), key=lambda item: -item[1]):
        tell(f"{share / total:6.1%}  {kind}")
    tokens = sum(len(row.ids) for row in rows)
    tell(f"{seconds:.2f} s for {len(rows)} rows, {tokens} tokens: {tokens / seconds:,.0f} tokens/s")
    peak = _peak(torch)
    needed = _operations(tuned, passes.split(rows))
    tell(
        f"matrix products alone at this machine's peak ({peak / 1e12:.2f} TFLOPS): {needed / peak:.2f} s, "
        f"{needed / peak / seconds:.0%} of the step"
    )


def _seconds(step: Callable[[], None]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _peak(torch) -> float:  # noqa: ANN001 - the module
    """Operations a second of a product that suits the machine."""
    a, b = (torch.randn(2048, 2048, dtype=torch.bfloat16) for _ in range(2))
    (a @ b)
    return 2 * 2048**3 / median(_seconds(lambda: a @ b) for _ in range(REPEATS))


def _operations(model, parts) -> float:  # noqa: ANN001 - a PEFT model and packs
    """Of the base's products, forward and backward by the input, and of the head where there is loss."""
    from lorasdk.data.prefix_tree import PrefixTree

    base = model.get_base_model()
    trees = [PrefixTree.of(part) for part in parts]
    layers = sum(p.numel() for n, p in base.get_decoder().layers.named_parameters() if "lora" not in n)
    head = base.get_output_embeddings().weight.numel()
    return sum(4 * layers * tree.tokens + 4 * head * len(tree.targets) for tree in trees)
