"""What is kept of a unit: its graph, its scores, the texts that activate it, what it took."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.neuron_graphs.graph import NeuronGraph
from experiments.neuron_graphs.unit import Unit

NAN = float("nan")


@dataclass(frozen=True, eq=False)
class ScannedText:
    """A text on which a unit is active, with its activations.

    Attributes
    ----------
    example, document : int
        Number of the example, and of the document that it is cut from.
    tokens : ndarray of int32, shape (n_tokens,)
        Token ids.
    activations : ndarray of float32, shape (n_tokens,)
        The unit's activations: the neuron's, times its sign.
    held_out : bool
        Whether the graph is tested on this text, not made from it.
    """

    example: int
    document: int
    tokens: NDArray[np.int32]
    activations: NDArray[np.float32]
    held_out: bool = False


@dataclass(frozen=True)
class Match:
    """How well predicted firing agrees with true firing, over tokens.

    Attributes
    ----------
    precision, recall, f1 : float
        Of the firing class, dimensionless. Precision is NaN where nothing is predicted, and all
        three are NaN where nothing fires.
    """

    precision: float = NAN
    recall: float = NAN
    f1: float = NAN

    @property
    def precision_of_paper(self) -> float:
        """Precision as the paper has it: 1 where nothing is predicted."""
        return 1.0 if self.recall == 0 and np.isnan(self.precision) else self.precision


@dataclass(frozen=True)
class Scores:
    """How well a graph foretells a unit, on texts it was not made from.

    Attributes
    ----------
    graph, token, ngram : Match
        Of the graph, and of both baselines, on the held-out texts.
    correlation : float
        1 − mean squared error / variance of the activations (the paper's name for R²).
    support : int
        Held-out tokens at which the unit fires.
    false_per_million : float
        Tokens of random texts per million at which the graph fires and the unit does not.
    density : float
        Share of the tokens of random texts at which the unit fires.
    """

    graph: Match = field(default_factory=Match)
    token: Match = field(default_factory=Match)
    ngram: Match = field(default_factory=Match)
    correlation: float = NAN
    support: int = 0
    false_per_million: float = NAN
    density: float = NAN


@dataclass(frozen=True)
class Cost:
    """What a unit's graph took of the model.

    Attributes
    ----------
    calls : float
        Passes of the model; one that serves many units counts for each by its share of the rows.
    rows, tokens : int
        Rows that were asked for, and their tokens.
    proposed, accepted : int
        Substitutes that were tried, and those that still fire.
    """

    calls: float = 0.0
    rows: int = 0
    tokens: int = 0
    proposed: int = 0
    accepted: int = 0


@dataclass(frozen=True, eq=False)
class Record:
    """All that is kept of a unit.

    Attributes
    ----------
    unit : Unit
        Which.
    graph : NeuronGraph or None
        None if there is none, for the reason given.
    scores : Scores
        All NaN without a graph.
    texts : tuple of ScannedText
        Those that activate it most, the strongest first.
    largest : float
        The unit's largest activation over all texts.
    quantiles : ndarray of float32, shape (len(QUANTILES),)
        Of its activations over tokens of random texts, at `QUANTILES`.
    cost : Cost
        What it took.
    reason : str
        Why there is no graph, or what is to be known of it, e.g. `dead`; empty otherwise.
    """

    unit: Unit
    graph: NeuronGraph | None
    scores: Scores
    texts: tuple[ScannedText, ...] = ()
    largest: float = 0.0
    quantiles: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    cost: Cost = field(default_factory=Cost)
    reason: str = ""


QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True)
class Header:
    """What a store's graphs are of; a store with another header is not continued.

    Attributes
    ----------
    model, weights, texts : str
        Name of the model, and the fingerprints of its weights and of the texts.
    site, preset, normalise : str
        Where neurons are read, and how graphs are made.
    fire : float
        Share of the largest activation from which a unit fires.
    mask : str
        Text of the token that replaces others.
    """

    model: str
    weights: str
    texts: str
    site: str
    preset: str
    normalise: str
    fire: float
    mask: str
