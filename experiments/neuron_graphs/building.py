"""A unit from its scanned texts to the record of its graph and scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.asks import Algorithm, Ids
from experiments.neuron_graphs.baselines import Seen
from experiments.neuron_graphs.fit import Fitted, Rules, fit
from experiments.neuron_graphs.held_out import split
from experiments.neuron_graphs.predict import Predictor
from experiments.neuron_graphs.records import QUANTILES, Cost, Record, ScannedText, Scores
from experiments.neuron_graphs.scanning import Scan
from experiments.neuron_graphs.texts import Text
from experiments.neuron_graphs.unit import Unit
from experiments.neuron_graphs.validate import Evidence, validate

DEAD = "dead: its activation is nowhere positive"
ONE_TEXT = "one text: nothing is left to test a graph on"
NO_PATH = "no path: it fires in none of the texts that its graph is made from"
UNTESTED = "untested: it fires in none of the held-out texts"


@dataclass(frozen=True, eq=False)
class Builder:
    """Makes records of units from a scan.

    Attributes
    ----------
    scan : Scan
        Texts of every unit, and random ones.
    rules : Rules
        How graphs are made.
    begins : int or None
        The token that begins texts.
    prefix : tuple of int
        What stands before tokens from the middle of a text.
    documents : ndarray of int64, shape (n_examples,)
        Number of every example's document.
    seed : int
        Of the halves.
    """

    scan: Scan
    rules: Rules
    begins: int | None
    prefix: Ids
    documents: NDArray[np.int64]
    seed: int

    def build(self, unit: Unit) -> Algorithm[Record]:
        """Make a unit's graph and score it."""
        texts = split(self.scan.texts(unit), self.seed)
        sample = self.scan.sample(unit)
        quantiles = np.quantile(sample, QUANTILES).astype(np.float32)
        if len(texts) < 2:
            reason = ONE_TEXT if texts else DEAD
            return Record(unit, None, Scores(), texts, quantiles=quantiles, reason=reason)
        bodies = [self._text(text) for text in texts]
        largest = float(max(body.activations.max() for body in bodies))
        seen = [body for body, text in zip(bodies, texts, strict=True) if not text.held_out]
        fitted = yield from fit(seen, largest, self.rules)
        evidence = self.evidence(texts, sample, largest)
        scores = validate(Predictor.of(fitted.graph, self.rules.preset), evidence)
        return Record(
            unit, fitted.graph, scores, texts, largest, quantiles,
            Cost(proposed=fitted.proposed, accepted=fitted.accepted),
            self._reason(fitted, scores, len(seen)),
        )  # fmt: skip

    def _text(self, text: ScannedText) -> Text:
        n = self._n_before(text.tokens)
        tokens = tuple(text.tokens.tolist())
        return Text(tokens[n:], text.activations[n:].astype(np.float64), tokens[:n], self.prefix)

    def evidence(
        self, texts: Sequence[ScannedText], sample: NDArray[np.float32], largest: float
    ) -> Evidence:
        """Return the unit's texts, and random ones of documents that its graph is not made from."""
        made_from = {text.document for text in texts if not text.held_out}
        halves: tuple[list[Seen], list[Seen]] = ([], [])
        for text in texts:
            halves[text.held_out].append(self._seen(text.tokens, text.activations, largest))
        random = [
            self._seen(np.array(self.scan.ids[example], np.int32), sample[where], largest)
            for example, where in self.scan.sampled.items()
            if self.documents[example] not in made_from
        ]
        return Evidence(*halves, random)

    def _seen(
        self, tokens: NDArray[np.int32], activations: NDArray[np.float32], largest: float
    ) -> Seen:
        n = self._n_before(tokens)
        return self.rules.classes[tokens[n:]], activations[n:].astype(np.float64) / largest

    def _n_before(self, tokens: NDArray[np.int32]) -> int:
        return int(self.begins is not None and len(tokens) > 0 and tokens[0] == self.begins)

    def _reason(self, fitted: Fitted, scores: Scores, n_texts: int) -> str:
        if not len(fitted.graph):
            return NO_PATH
        if not scores.support:
            return UNTESTED
        if fitted.long:
            return (
                f"long context: {fitted.long} of {n_texts} texts need more than "
                f"{self.rules.context} tokens"
            )
        return ""
