"""What hubs are: the tokens on which they are largest, the vocabulary that they write to."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from probe.config import RESIDUALS, InitKind, Site
from probe.errors import UserError
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request
from probe.extraction.extracted import Extracted
from probe.extraction.peaks import MOST, Peak, read_peaks
from probe.measures import hubs_of
from probe.models import load_tokenizer, open_unembedding
from probe.topology import Topology

logger = logging.getLogger(__name__)
# Tokens shown before and after that on which a hub is largest, and tokens that it writes to.
_BEFORE, _AFTER, _WORDS = 8, 4, 6
# Hubs whose effect on all of the vocabulary is in memory at a time.
_AT_ONCE = 64
Described = dict[str, dict[int, dict[str, Any]]]


def describe_hubs(
    request: Request, extracted: Extracted, topologies: Sequence[Topology]
) -> Described:
    """Describe the hubs of every topology.

    Parameters
    ----------
    request : Request
        What was extracted.
    extracted : Extracted
        With the tokens on which every neuron is largest.
    topologies : sequence of Topology
        One for each matrix of the request.

    Returns
    -------
    dict of str to dict of int to dict
        By topology and hub: `tokens`, each with its layer, value, document, position from 0, and
        some words of context; and at the residual stream of a trained model the vocabulary that a
        rise of the neuron `promotes` and `suppresses`.
    """
    settings = request.config.measures
    places = {
        matrix.name: {
            hub: _place(matrix, hub, topology.n_neurons) for hub, _ in hubs_of(topology, settings)
        }
        for matrix, topology in zip(request.matrices, topologies, strict=True)
        if topology.kind != "cross"
    }
    if not any(places.values()):
        return {}
    texts = _Texts(request)
    words = _words(request, {place for hubs in places.values() for place in hubs.values()}, texts)
    return {
        name: {
            hub: {
                "tokens": [texts.show(peak) for peak in _peaks(extracted.peaks[name], *place)],
                **words.get(place, {}),
            }
            for hub, place in hubs.items()
        }
        for name, hubs in places.items()
    }


class _Texts:
    """The texts of a request, in tokens and words."""

    def __init__(self, request: Request) -> None:
        self.tokenizer = load_tokenizer(request.config.model)
        self._names = request.names
        self._ids = {
            member: ids
            for batch in request.batches
            for member, ids in zip(batch.members, batch.ids, strict=True)
        }

    def words(self, ids: Sequence[int]) -> str:
        """Return the words of tokens as they are, special ones included."""
        text: str = self.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)
        return text

    def token(self, token: int) -> str:
        """Return a token's words, or its own name if it is no whole character."""
        text = self.words([token])
        return str(self.tokenizer.convert_ids_to_tokens(token)) if "\ufffd" in text else text

    def show(self, peak: Peak) -> dict[str, Any]:
        """Return a token with its place and context."""
        ids, at = self._ids[peak.example], peak.position
        return {
            "token": self.token(ids[at]),
            "before": self.words(ids[max(0, at - _BEFORE) : at]),
            "after": self.words(ids[at + 1 : at + 1 + _AFTER]),
            "document": self._names[peak.example],
            "position": at,
            "layer": peak.layer,
            "value": peak.value,
        }


# A layer, or None for the mean over several, and the neuron's number in it.
_Place = tuple[int | None, int]


def _place(matrix: MatrixSpec, hub: int, n_neurons: int) -> _Place:
    """Return a neuron's layer and its number there: in `full` those of all layers are joined."""
    if matrix.kind == "full":
        place, neuron = divmod(hub, n_neurons // len(matrix.layers))
        return sorted(matrix.layers)[place], neuron
    return (matrix.layers[0] if len(matrix.layers) == 1 else None), hub


def _peaks(kept: Mapping[int, Tensor], layer: int | None, neuron: int) -> list[Peak]:
    """Return the largest tokens of a neuron, one of a text, over one layer or over all."""
    found = [
        peak
        for at, one in kept.items()
        if layer in (None, at)
        for peak in read_peaks(one, at, neuron)
    ]
    of_text: dict[int, Peak] = {}
    for peak in sorted(found, key=lambda peak: (-abs(peak.value), peak.example, peak.layer)):
        of_text.setdefault(peak.example, peak)
    return list(of_text.values())[:MOST]


def _words(
    request: Request, places: Collection[_Place], texts: _Texts
) -> dict[_Place, dict[str, list[str]]]:
    """Return the vocabulary that coordinates of the residual stream write to."""
    config = request.config
    if config.site not in RESIDUALS or config.init.kind is InitKind.random:
        return {}
    try:
        unembedding = open_unembedding(config.model)
    except UserError as error:
        logger.info("what hubs write to the vocabulary is left out: %s", error)
        return {}
    if unembedding is None:
        return {}
    behind = (unembedding.layers - 1,) if config.site is Site.residual else ()
    found: dict[_Place, dict[str, list[str]]] = {}
    for normed in (False, True):
        chosen = [place for place in places if (place[0] in behind) is normed]
        neurons = sorted({neuron for _, neuron in chosen})
        words: dict[int, dict[str, list[str]]] = {}
        for start in range(0, len(neurons), _AT_ONCE):
            some = neurons[start : start + _AT_ONCE]
            columns = unembedding.columns(some, normed)[: len(texts.tokenizer)]
            words |= zip(some, _ends(columns, texts), strict=True)
        found |= {place: words[place[1]] for place in chosen}
    return found


def _ends(columns: Tensor, texts: _Texts) -> Iterator[dict[str, list[str]]]:
    """Yield the tokens with the largest and with the smallest number of every column."""
    for column in columns.T:
        most = min(_WORDS, len(column))
        ends = {"promotes": column.topk(most), "suppresses": (-column).topk(most)}
        yield {
            name: [texts.token(token) for token in end.indices.tolist()]
            for name, end in ends.items()
        }
