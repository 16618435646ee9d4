"""The length that no batch may cross is found in a model's configuration."""

from typing import Any

import pytest
from transformers import AutoConfig

from probe.examples.batches import Together, form_batches, regrouped
from probe.examples.choose import Example
from probe.models import LengthLimit, length_limit

FACTORS = {"long_factor": [4.0] * 4, "short_factor": [1.0] * 4}
LENGTHS = (130, 128, 121, 120, 120, 119, 118, 117)


@pytest.mark.parametrize(
    ("kind", "config", "limit"),
    [
        ("llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}, None),
        ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0}},
         None),
        ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0},
                   "max_position_embeddings": 119}, LengthLimit(119, equal_beyond=True)),
        ("phi3", {"original_max_position_embeddings": 119, "max_position_embeddings": 400,
                  "pad_token_id": 0,
                  "rope_parameters": {"rope_type": "longrope", "rope_theta": 1e4, **FACTORS,
                                      "original_max_position_embeddings": 119}},
         LengthLimit(119, equal_beyond=False)),
        ("big_bird", {"block_size": 8, "num_random_blocks": 1, "attention_type": "block_sparse"},
         LengthLimit(56, equal_beyond=True)),
        ("big_bird", {"attention_type": "original_full"}, None),
        ("gemma3_text", {}, None),
        ("gpt2", {}, None),
        ("bert", {}, None),
    ],
)  # fmt: skip
def test_the_limit_is_known_from_the_configuration(
    kind: str, config: dict[str, Any], limit: LengthLimit | None
) -> None:
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4}
    sizes = sizes if kind in ("llama", "phi3") else {}
    assert length_limit(AutoConfig.for_model(kind, **sizes, **config)) == limit


@pytest.mark.parametrize(
    ("beyond", "lengths"),
    [
        (False, [[130, 128, 121, 120, 120], [119, 118, 117]]),
        (True, [[130], [128], [121], [120, 120], [119, 118, 117]]),
    ],
)
def test_no_batch_crosses_the_limit(beyond: bool, lengths: list[list[int]]) -> None:
    examples = [Example(str(n), [1] * length) for n, length in enumerate(LENGTHS)]
    assert [len(one.ids) for one in form_batches(examples, 4096)] == [8]
    batches = form_batches(examples, 4096, limit=LengthLimit(119, beyond))
    assert [[len(ids) for ids in batch.ids] for batch in batches] == lengths


@pytest.mark.parametrize("together", list(Together))
def test_texts_are_put_in_other_batches_within_their_cells_and_the_budget(
    together: Together,
) -> None:
    examples = [Example(str(n), [n] * (5 + n % 3)) for n in range(20)]
    cells = [range(8), range(8, 20)]
    batches = form_batches(examples, 14, cells)
    again = regrouped(batches, 14, together)
    assert sorted(member for batch in again for member in batch.members) == list(range(20))
    for batch in again:
        assert {member in cells[batch.cell] for member in batch.members} == {True}
        assert all(
            ids == examples[member].ids
            for member, ids in zip(batch.members, batch.ids, strict=True)
        )
        assert batch.padded_tokens <= 14
        if together is not Together.like:
            assert len({len(ids) for ids in batch.ids}) == 1
    sizes = {len(batch.ids) for batch in again}
    assert (max(sizes) == 1) == (together is Together.single)
    assert together is not Together.like or again == batches
