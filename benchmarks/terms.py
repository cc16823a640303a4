"""What of a term the adapter of `recipes/zh-terms.yaml` answers from, and what base weights take in each type.

Writes the numbers of `docs/zh/index.md` beside those of the training's own report.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

ROWS = Path(__file__).parents[1] / "recipes" / "data" / "zh-terms" / "test.jsonl"
KEPT = {"term and gloss": (0, 1), "English gloss alone": (1,), "Chinese term alone": (0,)}
"""Lines of a row's input that stay."""
HELD = {"float32": {"dtype": "float32"}, "bfloat16": {"dtype": "bfloat16"}, "nf4": {"quantization": "nf4"}}


def measure(adapter: Path, *, tell: Callable[[str], None]) -> None:
    """Ask the adapter whole rows and halves of them; load its base in each type."""
    from lorasdk import FineTuner

    rows = [json.loads(line) for line in ROWS.read_text("utf-8").splitlines()]
    for name, lines in KEPT.items():
        shown = [{**row, "input": "\n".join(row["input"].split("\n")[line] for line in lines)} for row in rows]
        with FineTuner.from_adapter(adapter, data={"test": shown}, discover=False) as tuner:
            score = tuner.evaluate().scores[0]
            gain = score.interval and f"{score.interval.low:+.3f} to {score.interval.high:+.3f}"
            tell(f"{name}: {score.base:.3f} to {score.tuned:.3f}, {gain}")
    with FineTuner.from_adapter(adapter, discover=False) as tuner:
        tuner.adapters.load("first", adapter)
        began = time.perf_counter()
        tuner.adapters.load("second", adapter)
        tell(f"adapter: {tuner.adapters.list()[0].bytes / 1e6:.1f} MB, loaded in {time.perf_counter() - began:.2f} s")
    for name, held in HELD.items():
        whole, layers = _bytes(adapter, held)
        tell(f"{name}: {whole / 1e6:.0f} MB, {layers / 1e6:.0f} MB of them in linear layers")


def _bytes(adapter: Path, held: dict[str, str]) -> tuple[int, int]:
    """Of all weights, and of those in decoder layers' matrices."""
    from lorasdk.artifacts.passport import read_passport
    from lorasdk.basemodel.bitsandbytes_import import import_bitsandbytes
    from lorasdk.basemodel.loading import load_base_model
    from lorasdk.builtin.package_source import PackageSource
    from lorasdk.contracts import SourceRequest
    from lorasdk.recipe.schema import BaseModelSection
    from lorasdk.runs.folder import find_adapter_dir

    import_bitsandbytes()
    source = read_passport(find_adapter_dir(adapter)).base_model.source
    located = PackageSource().locate(SourceRequest(source.partition(":")[2], None, Path.cwd(), ""))
    model = load_base_model(located, BaseModelSection(source=source, **held)).model
    sizes = {name: tensor.nbytes for name, tensor in model.named_parameters()}
    return sum(sizes.values()), sum(size for name, size in sizes.items() if "_proj" in name)
