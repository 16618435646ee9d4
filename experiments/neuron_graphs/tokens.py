"""What the tokenizer says: labels, what begins texts, what masks, what can be substituted."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.asks import Ids
from experiments.neuron_graphs.normalise import Vocabulary
from probe.api import ModelConfig, UserError, model_name
from probe.api.parts import load_config, load_tokenizer

logger = logging.getLogger(__name__)
# What masks where there is no mask token: a token that says little, or one of these.
_BLANK, _SPECIAL = " _", ("pad", "unk", "eos")


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of a model.

    Attributes
    ----------
    tokenizer : transformers tokenizer
        The tokenizer.
    vocabulary : Vocabulary
        Labels and classes.
    special : ndarray of bool, shape (n_vocabulary,)
        Tokens that are no text.
    begins : int or None
        The token that begins texts; it is no part of a path.
    prefix : tuple of int
        What stands before tokens that are cut from the middle of a text.
    mask : int
        The token that replaces others.
    """

    tokenizer: Any
    vocabulary: Vocabulary
    special: NDArray[np.bool_]
    begins: int | None
    prefix: Ids
    mask: int

    @classmethod
    def of(cls, model: ModelConfig, mask: str | None, rule: str) -> "Tokens":
        """Read the tokenizer of a model.

        Raises
        ------
        UserError
            If there is nothing to mask with.
        """
        tokenizer = load_tokenizer(model)
        number = max(len(tokenizer), int(load_config(model).get_text_config().vocab_size))
        special = np.arange(number) >= len(tokenizer)
        special[tokenizer.all_special_ids] = True
        begins = tokenizer.bos_token_id
        first = tokenizer.eos_token_id if begins is None else begins
        return cls(
            tokenizer, Vocabulary.of(_texts(tokenizer, number), rule), special, begins,
            () if first is None else (first,), _mask(tokenizer, mask, model),
        )  # fmt: skip

    @property
    def mask_text(self) -> str:
        """The text of the token that replaces others."""
        return str(self.tokenizer.decode([self.mask]))

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a sentence to the paper's code: those with a period, ! or a newline."""
        texts = enumerate(self.vocabulary.texts)
        return frozenset(token for token, text in texts if set(text) & set(".!\n"))

    def tell_mask(self) -> None:
        """Log what masks others where the vocabulary has no token for that."""
        if self.tokenizer.mask_token_id is None:
            logger.info(
                "the vocabulary has no mask token; %r masks others (study.mask= gives another)",
                self.mask_text,
            )

    def substitutable(self, letters: bool) -> NDArray[np.bool_]:
        """Return which tokens can replace others, shape (n_vocabulary,).

        Parameters
        ----------
        letters : bool
            Whether they must contain a letter.
        """
        texts = self.vocabulary.texts
        fits = [not letters or any(map(str.isalpha, text)) for text in texts]
        return np.array(fits, dtype=np.bool_) & ~self.special


def _texts(tokenizer: Any, number: int) -> list[str]:
    """Return the text of every token behind another one, where it keeps its space."""
    known = range(min(number, len(tokenizer)))
    [first, *_] = tokenizer("a", add_special_tokens=False)["input_ids"]
    [alone, *behind] = tokenizer.batch_decode(
        [[first], *([first, n] for n in known)], clean_up_tokenization_spaces=False
    )
    return [text[len(alone) :] for text in behind] + [""] * (number - len(known))


def _mask(tokenizer: Any, given: str | None, model: ModelConfig) -> int:
    if given is not None:
        ids = tokenizer(given, add_special_tokens=False)["input_ids"]
        if len(ids) != 1:
            raise UserError(
                f"study.mask={given!r} is {len(ids)} tokens of {model_name(model)}; give one, "
                'e.g. study.mask=" _"'
            )
        return int(ids[0])
    if tokenizer.mask_token_id is not None:
        return int(tokenizer.mask_token_id)
    # A special token is worse: it cuts off what is before it, so that all of that looks important.
    blank = tokenizer(_BLANK, add_special_tokens=False)["input_ids"]
    if len(blank) == 1 and blank[0] != tokenizer.unk_token_id:
        return int(blank[0])
    for name in _SPECIAL:
        found = getattr(tokenizer, f"{name}_token_id")
        if found is not None:
            return int(found)
    raise UserError(
        f"{model_name(model)} has no token to mask others with; give one with study.mask="
    )
