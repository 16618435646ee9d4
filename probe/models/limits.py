"""The length at which a model begins to read texts in another way, known from its configuration."""

import sys
from dataclasses import dataclass
from typing import Any

from transformers import MODEL_MAPPING


@dataclass(frozen=True)
class LengthLimit:
    """A length that no batch may cross, because the longest text decides how all are read.

    Attributes
    ----------
    tokens : int
        Texts of up to as many tokens are read alike.
    equal_beyond : bool
        Whether longer texts are read alike only if they are equally long.
    """

    tokens: int
    equal_beyond: bool

    def together(self, longest: int, other: int) -> bool:
        """Whether two texts may be in one batch.

        Examples
        --------
        >>> [LengthLimit(8, beyond).together(12, n) for beyond in (False, True) for n in (8, 9, 12)]
        [False, True, True, False, False, True]
        """
        if longest <= self.tokens:
            return True
        return longest == other if self.equal_beyond else other > self.tokens


def length_limit(text: Any) -> LengthLimit | None:
    """Return the limit of a text configuration, None if all lengths are read alike.

    Rotary factors follow the longest text of a batch beyond the length of pretraining (`dynamic`),
    or change once there (`longrope`); BigBird reads texts of few blocks with full attention, and
    others with blocks that depend on their number.
    """
    if getattr(text, "attention_type", None) == "block_sparse" and hasattr(text, "block_size"):
        return LengthLimit((5 + 2 * text.num_random_blocks) * text.block_size, equal_beyond=True)
    rope = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    # Models whose layers differ have one set for each kind of layer.
    several = [one for one in [rope, *rope.values()] if isinstance(one, dict)]
    for one in several:
        kind = one.get("rope_type", one.get("type"))
        if kind in ("dynamic", "longrope"):
            most = text.max_position_embeddings
            first = one.get("original_max_position_embeddings") or getattr(
                text, "original_max_position_embeddings", None
            )
            return LengthLimit(int(first or most), equal_beyond=kind == "dynamic")
    return None


def begins_behind_padding(text: Any) -> bool:
    """Whether the position of a model's first token is behind that of padding, as in RoBERTa.

    Its table of positions has rows that no text reaches: `pad_token_id + 1` of them.
    """
    if type(text) not in MODEL_MAPPING:
        return False
    source = sys.modules[MODEL_MAPPING[type(text)].__module__]
    parts = (source, *vars(source).values())
    return any(hasattr(part, "create_position_ids_from_input_ids") for part in parts)
