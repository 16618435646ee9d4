"""The measurement: texts with and without treatment, on every rank."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from probe.distributed import Ranks
from probe.examples.batches import Batch, Tensors
from probe.examples.share import share
from probe.extraction.activations import model_inputs
from probe.extraction.out_of_memory import in_halves
from probe.extraction.with_head import settled
from probe.interventions.hooks import Edit, Sites
from probe.interventions.outcomes import OUTCOMES, outcome
from probe.interventions.treatments import Treatment, norm_shares
from probe.interventions.work import Work

SHARES = ("held", "moved")
# Noise is drawn from a stream of its own; 0 is that of neurons drawn at random.
_NOISE = 1
# Layers' noise that is kept for the next condition.
_KEPT = 8

# Returns the neurons that a condition treats in a layer, (n_examples or 1, n_neurons), bool.
Chosen = Callable[[int, int], Tensor]
# Called for every batch with the texts' numbers, its tensors and the untouched activations by
# layer (none if `record` is not set).
Choose = Callable[[Sequence[int], Tensors, Mapping[int, Tensor]], Chosen]


@dataclass(frozen=True)
class Condition:
    """A treatment, and the number of its draw of neurons or noise."""

    treatment: Treatment
    draw: int


class Measurement:
    """Outcomes of texts under a model whose neurons are treated.

    Parameters
    ----------
    work : Work
        Texts, site and layers.
    conditions : sequence of Condition
        What is done.
    model : nn.Module
        A language model.
    record : bool
        Whether to keep the untouched activations of a batch, for the choice of neurons.
    """

    def __init__(
        self, work: Work, conditions: Sequence[Condition], model: nn.Module, record: bool
    ) -> None:
        self.work, self.conditions, self.model, self.record = work, conditions, model, record
        config = work.request.config
        self.sites = Sites(model, config.model, config.site, work.request.layers)
        self._rest: Callable[[], None] = lambda: None
        n_texts = work.request.n_examples
        self.untouched = torch.zeros(n_texts, len(OUTCOMES), dtype=torch.float64)
        self.treated = torch.zeros(
            len(conditions), n_texts, len(OUTCOMES) + len(SHARES), dtype=torch.float64
        )

    def run(self, ranks: Ranks, choose: Choose) -> dict[str, Tensor]:
        """Read this rank's share; return on rank 0 the outcomes of every text.

        Returns
        -------
        dict of str to Tensor of float64
            `untouched`, shape (n_texts, n_outcomes), and `treated`, shape (n_conditions, n_texts,
            n_outcomes + 2): outcomes in the order of `OUTCOMES`, then `SHARES` of the squared
            norm, means over the layers.
        """
        passes = 1 + len(self.conditions)
        request, self._rest = settled(self.work.request, ranks, self.model)
        for batch, tensors in share(request, ranks, self.model, passes):
            for _ in in_halves(batch, tensors, partial(self._read, choose, ranks.main)):
                continue
        outcomes = {"untouched": self.untouched, "treated": self.treated}
        for state in ranks.collect(outcomes):
            for name, values in outcomes.items():
                values += state[name]
        return outcomes if ranks.main else {}

    @torch.inference_mode()
    def _read(self, choose: Choose, shown: bool, batch: Batch, tensors: Tensors) -> None:
        """Fill in the outcomes of a batch under all conditions."""
        untouched: dict[int, Tensor] = {}

        def keep(layer: int, activations: Tensor) -> Tensor:
            untouched[layer] = activations
            return activations

        layers = self.sites.layers
        recorded = {layer: partial(keep, layer) for layer in layers} if self.record else {}
        reference = self._predict(tensors, recorded)
        self.untouched[batch.members] = self._outcomes(batch, tensors, reference, reference)
        # A choice of a question is treated as the question is.
        texts = [self.work.examples[member] for member in batch.members]
        prompts = torch.tensor([self.work.starts[member] for member in batch.members])
        chosen = choose(texts, _first(tensors, prompts), untouched)
        noise = _Noise(self.work, texts, tensors)
        bar = tqdm(
            self.conditions, "conditions", disable=None if shown else True, leave=False, delay=2
        )
        for number, condition in enumerate(bar):
            shares = {layer: torch.zeros(len(texts), len(SHARES)) for layer in layers}
            edits: dict[int, Edit] = {}
            for layer in layers:
                neurons = chosen(number, layer)
                if neurons.any():
                    edits[layer] = partial(
                        self._treat, condition, layer, neurons, noise, tensors, shares
                    )
            treated = self._predict(tensors, edits)
            outcomes = self._outcomes(batch, tensors, reference, treated)
            mean = torch.stack(list(shares.values())).double().mean(dim=0)
            self.treated[number, batch.members] = torch.cat([outcomes, mean], dim=1)

    def _treat(
        self,
        condition: Condition,
        layer: int,
        chosen: Tensor,
        noise: "_Noise",
        tensors: Tensors,
        shares: dict[int, Tensor],
        activations: Tensor,
    ) -> Tensor:
        chosen = chosen.to(activations.device)
        drawn = noise.of(condition.draw, layer) if condition.treatment.name == "noise" else None
        mean = self.work.statistics[f"{layer}/mean"]
        after = condition.treatment(activations, chosen, mean, drawn)
        attended = tensors.attended.to(activations.device)
        shares[layer] = torch.stack(norm_shares(activations, after, chosen, attended), dim=1).cpu()
        return after

    def _predict(self, tensors: Tensors, edits: Mapping[int, Edit]) -> list[Tensor]:
        """Return each text's log probabilities of the next token, (n_tokens, n_vocabulary)."""
        inputs = model_inputs(self.model, self.work.request.config.model, tensors)
        self._rest()
        with self.sites.edited(edits):
            logits = self.model(**inputs).logits
        return [
            row[attended].float().log_softmax(-1)
            for row, attended in zip(logits, tensors.attended, strict=True)
        ]

    def _outcomes(
        self, batch: Batch, tensors: Tensors, reference: list[Tensor], treated: list[Tensor]
    ) -> Tensor:
        work = self.work
        rows = []
        for row, member in enumerate(batch.members):
            ids = tensors.tokens[row][tensors.attended[row]]
            example, start = work.examples[member], work.starts[member]
            letters = work.letters[: work.choices[example]] if work.letters else []
            answer = work.answers[example] if work.letters else 0
            rows.append(outcome(treated[row], reference[row], ids, start, letters, answer))
        return torch.stack(rows)


def stream(seed: int, kind: int, draw: int, layer: int, text: int) -> np.random.Generator:
    """Return the random stream of a draw for one text in one layer."""
    return np.random.default_rng([seed, kind, draw, layer, text])


class _Noise:
    """Noise of every neuron's standard deviation for the texts of one batch."""

    def __init__(self, work: Work, texts: Sequence[int], tensors: Tensors) -> None:
        self.work, self.texts, self.attended = work, texts, tensors.attended.cpu()
        self.of = lru_cache(maxsize=_KEPT)(self._draw)

    def _draw(self, draw: int, layer: int) -> Tensor:
        """Return noise, (n_examples, n_tokens, n_neurons)."""
        sd = self.work.statistics[f"{layer}/sd"].float()
        noise = torch.zeros(*self.attended.shape, len(sd))
        for row, text in enumerate(self.texts):
            # Drawn for attended tokens only, so that it does not depend on the padding.
            shape = (int(self.attended[row].sum()), len(sd))
            normal = stream(self.work.seed, _NOISE, draw, layer, text).standard_normal(
                shape, dtype=np.float32
            )
            noise[row, self.attended[row]] = torch.from_numpy(normal) * sd
        return noise


def _first(tensors: Tensors, n_tokens: Tensor) -> Tensors:
    """Count only the first tokens of each text, whichever side the padding is on."""
    early = tensors.attended.cumsum(dim=1) <= n_tokens[:, None].to(tensors.attended.device)
    return Tensors(tensors.tokens, tensors.attended, tensors.keep & early)
