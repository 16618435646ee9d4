"""Whether a model predicts a token without seeing it, which perplexity needs."""

import torch
from torch import Tensor, nn

from probe.config import ModelConfig, model_name
from probe.errors import UserError
from probe.extraction.checks.padding import MOST_UNITS
from probe.extraction.checks.routing import has_experts
from probe.models import ModelState, text_config


@torch.inference_mode()
def refuse_two_sided(model: nn.Module, config: ModelConfig, ids: list[int]) -> None:
    """Refuse a model in which changing the last token of a text changes an earlier loss.

    A model with experts computes a token in another order when its neighbours are routed
    otherwise, and a quantised one may scale it by them, so that only changes above the noise of the
    type count; in others any does.

    Parameters
    ----------
    model : nn.Module
        A language model with its head.
    config : ModelConfig
        Its name.
    ids : list of int
        Token ids of a text, two or more.

    Raises
    ------
    UserError
        If it does.
    """
    device = model.get_input_embeddings().weight.device  # type: ignore[operator]
    device = torch.device("cpu") if device.type == "meta" else device
    other = ids[0] if ids[0] != ids[-1] else (ids[-1] + 1) % text_config(model).vocab_size

    def log_likelihoods(last: int) -> Tensor:
        tokens = torch.tensor([[*ids[:-1], last]], device=device)
        logits: Tensor = model(input_ids=tokens).logits[0, :-1].float()
        return logits.log_softmax(dim=-1)

    state = ModelState(model)
    before, after = log_likelihoods(ids[-1]), log_likelihoods(other)
    state.restore(hooks=True)
    change = (after - before).norm(dim=-1) / before.norm(dim=-1)
    noisy = has_experts(model) or getattr(model.config, "quantization_config", None) is not None
    different = change > noisy * MOST_UNITS * torch.finfo(next(model.parameters()).dtype).eps
    if different.any():
        raise UserError(
            f"model={model_name(config)} has no perplexity: when the last token of a text is "
            f"changed, {int(different.sum())} of the {len(different)} predictions before it change "
            "too; use a causal language model, or leave out data.perplexity"
        )
