from pathlib import Path

import torch
from tiny_training import load_tiny

from lorasdk.inference.reading import Reader


def test_the_output_layer_sees_the_last_token_of_each_row_without_gaps_between_them(tiny_model_dir: Path):
    model, seen = load_tiny(tiny_model_dir).model, []
    hook = model.lm_head.register_forward_pre_hook(lambda _module, args: seen.extend(args))
    ids = torch.arange(3, 15).view(3, 4)
    mask = torch.ones_like(ids)
    logits, _ = Reader(model).read(ids, mask=mask, positions=mask.cumsum(1) - 1, cache=None, voices=[True] * 3)
    hook.remove()
    assert [(hidden.shape[:2], hidden.is_contiguous()) for hidden in seen] == [((3, 1), True)]
    with torch.no_grad():
        torch.testing.assert_close(logits, model(input_ids=ids).logits[:, -1])
