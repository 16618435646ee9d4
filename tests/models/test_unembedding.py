"""What a neuron writes to the vocabulary is what the model's own head makes of it."""

from pathlib import Path

import pytest
import torch

from probe.config import ModelConfig
from probe.models import load_language_model, open_unembedding
from tests.tiny_models import ARCHITECTURES, FINAL_NORM, WIDTH, save_tiny


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_it_is_the_heads_answer_to_a_rise_of_the_neuron(architecture: str, tmp_path: Path) -> None:
    model = ModelConfig(path=str(save_tiny(architecture, tmp_path)))
    found = open_unembedding(model)
    if architecture not in FINAL_NORM:
        assert found is None
        return
    assert found is not None
    whole = load_language_model(model, torch.device("cpu"))
    head = whole.get_output_embeddings()  # type: ignore[operator]
    norm = whole.base_model.get_submodule(FINAL_NORM[architecture])  # type: ignore[union-attr]
    signs = torch.tensor([1.0, -1.0] * (WIDTH // 2))
    behind = norm(signs) - norm(torch.zeros(WIDTH))
    scale = behind * signs
    torch.testing.assert_close(found.scale, scale, atol=1e-4, rtol=1e-4)
    neurons = [3, 0, 7]
    rise = torch.zeros(3, WIDTH)
    rise[range(3), neurons] = 1
    logits = head(rise) - head(torch.zeros(3, WIDTH))
    torch.testing.assert_close(found.columns(neurons, normed=True), logits.T)
    scaled = head(rise * scale) - head(torch.zeros(3, WIDTH))
    torch.testing.assert_close(found.columns(neurons), scaled.T, atol=1e-4, rtol=1e-4)
