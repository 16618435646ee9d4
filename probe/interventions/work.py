"""The work of a measurement: which texts are read, and which outcomes become the examples'."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from probe.config import Config
from probe.data import Document
from probe.errors import UserError
from probe.examples.choose import Example
from probe.examples.request import Request
from probe.interventions.outcomes import OUTCOMES, Vector, margins
from probe.interventions.payload import pack, unpack
from probe.interventions.questions import continuations, letter_tokens
from probe.interventions.survey import Statistics, survey_request
from probe.models import load_config

# Logits per batch; log probabilities with and without treatment are in memory together.
_LOGITS = 1 << 27


def token_budget(config: Config) -> int:
    """Return the most tokens of a batch whose logits are kept twice."""
    vocabulary = load_config(config.model).get_text_config().vocab_size
    return int(max(1, min(config.runtime.token_budget, _LOGITS // vocabulary)))


@dataclass(frozen=True)
class Work:
    """Texts to measure.

    Attributes
    ----------
    request : Request
        Model, site, layers, and the texts in batches: the examples, and behind them every choice
        of every question, if their likelihoods are asked for.
    examples : list of int
        Number of the example that a text is, or continues.
    starts : list of int
        First token of the text's end that is scored, see `outcome`.
    letters : list of int
        Tokens of the answers A, B, C, …; none if accuracy is not measured.
    answers, choices : list of int
        Right answer of every question, from 0, and its number of choices; empty without questions.
    seed : int
        Of the draws.
    statistics : mapping of str to Tensor
        Of other texts, see `survey`.
    """

    request: Request
    examples: list[int]
    starts: list[int]
    letters: list[int]
    answers: list[int]
    choices: list[int]
    seed: int
    statistics: Statistics

    @classmethod
    def of(
        cls,
        config: Config,
        examples: Sequence[Example],
        asked: Mapping[str, Document],
        measures: Sequence[str],
        layers: Sequence[int],
        statistics: Statistics,
        seed: int,
    ) -> "Work":
        """Prepare the measurement of examples.

        Parameters
        ----------
        config : Config
            Model, site and ranks.
        examples : sequence of Example
            The texts.
        asked : mapping of str to Document
            Questions by name, see `questions`; empty if none of `measures` needs them.
        measures : sequence of str
            See `MEASURES`.
        layers : sequence of int
            Layers to treat.
        statistics, seed
            See above.
        """
        own = [asked[example.document] for example in examples] if asked else []
        choices = [len(question.choices) for question in own]
        more = continuations(config, examples, asked) if "margin" in measures else []
        texts = [*examples, *(Example(examples[one.example].document, one.ids) for one in more)]
        return cls(
            survey_request(config, texts, layers, token_budget(config)),
            [*range(len(examples)), *(one.example for one in more)],
            [*(len(example.ids) for example in examples), *(one.start for one in more)],
            letter_tokens(config.model, max(choices, default=0)) if "accuracy" in measures else [],
            [int(question.answer or 0) for question in own],
            choices,
            seed,
            statistics,
        )

    @property
    def chance(self) -> float | None:
        """Accuracy of a model that knows nothing; None without questions."""
        return float(np.mean([1 / n for n in self.choices])) if self.choices else None

    def to_bytes(self) -> bytes:
        """Pack the work."""
        names = ("examples", "starts", "letters", "answers", "choices", "seed")
        plain = {name: getattr(self, name) for name in names}
        arrays = {name: values.numpy() for name, values in self.statistics.items()}
        return pack({"request": self.request.to_bytes()}, plain, arrays)

    @classmethod
    def from_bytes(cls, packed: bytes) -> "Work":
        """Unpack the work."""
        parts, plain, arrays = unpack(packed)
        statistics = {name: torch.from_numpy(values) for name, values in arrays.items()}
        return cls(Request.from_bytes(parts["request"]), statistics=statistics, **plain)

    def outcomes(self, result: Mapping[str, Tensor]) -> tuple[Vector, Vector]:
        """Return the examples' outcomes from those of all texts that were measured.

        Returns
        -------
        untouched : ndarray, shape (n_examples, 4)
            In the order of `OUTCOMES`, but for the margin in place of the likelihood.
        treated : ndarray, shape (n_conditions, n_examples, 6)
            The same under every condition, and behind it `SHARES`.

        Raises
        ------
        UserError
            If a model's predictions are not finite.
        """
        untouched, treated = result["untouched"].numpy(), result["treated"].numpy()
        for when, values in (("", untouched), (" when neurons are treated", treated)):
            invalid = np.argwhere(~np.isfinite(values[..., : len(OUTCOMES)]))
            if len(invalid):
                raise UserError(
                    f"the model's predictions for {self.request.names[int(invalid[0][-2])]} are "
                    f"not finite{when}; leave it out, or use model.dtype=float32"
                )
        return self._examples(untouched), np.array([self._examples(one) for one in treated])

    def _examples(self, texts: Vector) -> Vector:
        column = OUTCOMES.index("likelihood")
        n_examples = len(set(self.examples))
        own = texts[:n_examples].copy()
        if len(texts) > n_examples:
            of = np.array(self.examples[n_examples:], dtype=np.int64)
            own[:, column] = margins(texts[n_examples:, column], of, self.answers)
        return own
