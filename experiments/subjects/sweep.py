"""Sweep of one neuron of a block, and its effect on the next token."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from experiments.statistics import bootstrap
from experiments.subjects.reading import Text
from experiments.subjects.settings import Subjects, Sweep, Unit
from probe.api import Config, Side, Site, UserError

# Logits per batch, about 0.25 GB.
_LOGITS = 1 << 26
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Change:
    """A change of one neuron in the output of a block.

    Attributes
    ----------
    neuron : int
        The neuron.
    value : float
        Added to it at every token, or put in its place.
    sweep : Sweep
        add or set.
    """

    neuron: int
    value: float
    sweep: Sweep

    def __call__(self, activations: Tensor) -> Tensor:
        """Return changed activations, shape (n_examples, n_tokens, n_neurons)."""
        changed = activations.clone()
        if self.sweep is Sweep.add:
            changed[..., self.neuron] += self.value
        else:
            changed[..., self.neuron] = self.value
        return changed


class Speaker:
    """A language model that reads prompts, optionally with a change in one block.

    Parameters
    ----------
    config : Config
        Its model.
    layer : int
        The block whose output is changed.
    prompts : sequence of ndarray
        Token ids of every prompt.

    Raises
    ------
    UserError
        If the model cannot be loaded, or has no language-model head.
    """

    def __init__(self, config: Config, layer: int, prompts: Sequence[NDArray[np.int64]]) -> None:
        from probe.api.interventions import Sites
        from probe.api.parts import (
            Example,
            Ranks,
            Request,
            form_batches,
            length_limit,
            load_language_model,
            load_tokenizer,
            settled,
            this_rank,
        )

        self.device = this_rank(config.runtime.device).device
        self.model = cast(Any, load_language_model(config.model, self.device))
        self.tokenizer = load_tokenizer(config.model)
        self.layer, self.prompts = layer, prompts
        text = self.model.config.get_text_config()
        budget = min(config.runtime.token_budget, max(1, _LOGITS // text.vocab_size))
        # The last token of every prompt is read where padding is behind it.
        self.config = replace(
            config,
            model=replace(config.model, padding_side=Side.right),
            runtime=replace(config.runtime, token_budget=budget),
        )
        examples = [Example(str(number), ids.tolist()) for number, ids in enumerate(prompts)]
        batches = form_batches(examples, budget, limit=length_limit(text))
        names = [example.document for example in examples]
        request = Request(self.config, [], batches, names, "sweep", [])
        alone = Ranks(0, 1, self.device)
        self.request, self._rest = settled(request, alone, self.model)
        self.sites = Sites(self.model, self.config.model, Site.residual_raw, [layer])

    @torch.inference_mode()
    def next_tokens(self, change: Change | None) -> Tensor:
        """Return the logits after each prompt, float32 on the host, (n_prompts, n_tokens)."""
        from probe.api.parts import model_inputs

        model = self.config.model
        vocabulary = self.model.config.get_text_config().vocab_size
        logits = torch.empty(len(self.prompts), vocabulary)
        with self.sites.edited({} if change is None else {self.layer: change}):
            for batch in self.request.batches:
                self._rest()
                tensors = batch.tensors(0, model.padding_side, 0).to(self.device)
                output = self.model(**model_inputs(self.model, model, tensors)).logits
                last = tensors.attended.sum(dim=1) - 1
                rows = torch.arange(len(last), device=self.device)
                logits[batch.members] = output[rows, last][:, :vocabulary].float().cpu()
        return logits

    def deviations(self) -> Tensor:
        """Return the standard deviation of the block's neurons over all tokens, (n_neurons,)."""
        rows: list[Tensor] = []

        def keep(activations: Tensor) -> Tensor:
            rows.append(activations.reshape(-1, activations.shape[-1]).double().cpu())
            return activations

        with torch.inference_mode(), self.sites.edited({self.layer: keep}):
            for ids in self.prompts:
                self._rest()
                self.model(torch.from_numpy(ids)[None].to(self.device))
        return torch.cat(rows).std(dim=0, correction=0)

    def letters(self, number: int) -> list[int]:
        """Return the tokens of the first letters of the alphabet, without a leading space."""
        tokens = []
        for letter in _LETTERS[:number]:
            token = self.tokenizer.convert_tokens_to_ids(letter)
            if token is None or token == self.tokenizer.unk_token_id:
                token = self.tokenizer.encode(letter, add_special_tokens=False)[-1]
            tokens.append(token)
        return tokens


def sweep_rows(
    config: Config, settings: Subjects, texts: Sequence[Text], layer: int, hub: int
) -> list[dict[str, Any]]:
    """Sweep the chosen neurons and controls; return one row per neuron and value.

    Raises
    ------
    UserError
        If a neuron does not exist, or the model has no language-model head.
    """
    speaker = Speaker(config, layer, [text.tokens for text in texts])
    deviation = speaker.deviations()
    chosen = settings.neurons or [hub]
    if not all(0 <= neuron < len(deviation) for neuron in chosen):
        raise UserError(f"study.neurons={chosen} must be between 0 and {len(deviation) - 1}")
    others = np.setdiff1d(np.arange(len(deviation)), chosen)
    controls = np.random.default_rng(settings.seed).permutation(others)[: settings.controls]
    neurons = [*((n, "chosen") for n in chosen), *((n, "control") for n in controls.tolist())]
    plain = speaker.next_tokens(None)
    rows = []
    for neuron, kind in tqdm(neurons, "sweep", disable=None, leave=False, delay=2):
        sd = float(deviation[neuron])
        for value in settings.values:
            by = value * sd if settings.unit is Unit.sd else value
            swept = speaker.next_tokens(Change(neuron, by, settings.sweep))
            row = {"layer": layer, "neuron": neuron, "kind": kind, "sd": sd, "value": value}
            rows.append(row | _effect(plain, swept, texts, speaker, settings))
    return rows


def _effect(
    plain: Tensor, swept: Tensor, texts: Sequence[Text], speaker: Speaker, settings: Subjects
) -> dict[str, float]:
    """Measure how the next token's distribution and the answers to questions change."""
    log_p, log_q = (logits.double().log_softmax(dim=1) for logits in (plain, swept))
    divergence = (log_p.exp() * (log_p - log_q)).sum(dim=1).numpy()
    measured = {"kl": divergence, "changed_top": _top_moved(plain, swept)}
    if all(text.choices and text.answer is not None for text in texts):
        measured["accuracy"] = right_answers(swept, texts, speaker)
    effect: dict[str, float] = {"documents": len({text.group for text in texts})}
    if "accuracy" in measured:
        effect["chance"] = float(np.mean([1 / text.choices for text in texts]))
    for name, values in measured.items():
        effect[name] = float(values.mean())
        effect[f"{name}_low"], effect[f"{name}_high"] = _interval(values, texts, settings)
    return effect


def _top_moved(plain: Tensor, swept: Tensor) -> NDArray[np.float64]:
    moved: NDArray[np.float64] = (plain.argmax(dim=1) != swept.argmax(dim=1)).double().numpy()
    return moved


def _interval(
    values: NDArray[np.float64], texts: Sequence[Text], settings: Subjects
) -> tuple[float, float]:
    groups = [text.group for text in texts]

    def mean(numbers: NDArray[np.int64]) -> float:
        return float(values[numbers].mean())

    return bootstrap(mean, groups, settings.seed, settings.repetitions)


def right_answers(logits: Tensor, texts: Sequence[Text], speaker: Speaker) -> NDArray[np.float64]:
    """Return 1 where the right letter has the largest logit among the choices, else 0."""
    ids = speaker.letters(max(text.choices for text in texts))
    return np.array(
        [
            float(int(row[ids[: text.choices]].argmax()) == text.answer)
            for row, text in zip(logits, texts, strict=True)
        ]
    )
