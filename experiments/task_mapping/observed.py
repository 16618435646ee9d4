"""What a scan's design is made of: tokens of prompts, and regressors that are no task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.task_mapping.design import Design, Model, make_design
from experiments.task_mapping.prompts import Numbers
from experiments.task_mapping.reading import Texts
from experiments.task_mapping.settings import TaskMappingConfig
from experiments.task_mapping.stimuli import Scan
from experiments.task_mapping.token_class import CLASSES, token_classes
from probe.api.parts import load_language_model, load_tokenizer, this_rank


@dataclass(frozen=True, eq=False)
class Observed:
    """Tokens and nuisance regressors of every prompt.

    Attributes
    ----------
    tokens : ndarray of int64, shape (n_prompts,)
        Tokens that are read of each.
    nuisance : sequence of DataFrame
        Of each, a row a token; without columns if there are none.
    """

    tokens: Numbers
    nuisance: Sequence[pd.DataFrame]

    def beside(self, other: "Observed") -> "Observed":
        """Return the regressors of both."""
        pairs = zip(self.nuisance, other.nuisance, strict=True)
        return Observed(self.tokens, [pd.concat(pair, axis=1) for pair in pairs])

    def design(self, scan: Scan, model: str) -> Design:
        """Return the design of a scan."""
        rows = pd.concat([self.nuisance[prompt] for prompt in scan.prompts], ignore_index=True)
        given = rows if rows.shape[1] else None
        return make_design(scan.on, self.tokens[scan.prompts], cast(Model, model), given)


def observe(config: TaskMappingConfig, texts: Texts, nuisance: Sequence[str]) -> Observed:
    """Return the tokens of texts with nuisance regressors, by their names in `study.nuisance`.

    `position` counts the tokens that are read, `length` is that of the prompt, `log_probability`
    is that of the token under the pretrained model (natural logarithm), `token_class` is one
    regressor for each class but one.
    """
    tokenizer = load_tokenizer(config.model)
    scored = log_probabilities(config, texts) if "log_probability" in nuisance else None
    frames = []
    for number, ids in enumerate(texts.ids):
        columns: dict[str, Any] = {}
        if "position" in nuisance:
            columns["position"] = np.arange(len(ids))
        if "length" in nuisance:
            columns["length"] = np.full(len(ids), texts.lengths[number])
        if scored is not None:
            columns["log_probability"] = scored[number]
        if "token_class" in nuisance:
            classes = token_classes(tokenizer, ids.tolist())
            columns |= {name: classes[:, one] for one, name in enumerate(CLASSES[1:], start=1)}
        frames.append(pd.DataFrame(columns, index=range(len(ids)), dtype=np.float64))
    return Observed(texts.tokens, frames)


def log_probabilities(config: TaskMappingConfig, texts: Texts) -> list[NDArray[np.float64]]:
    """Return the log probability of every token that is read, given those before it (nats).

    A first token, which has none before it, gets the mean of the others.
    """
    device = this_rank(config.runtime.device).device
    model: Any = load_language_model(config.model, device)
    found = []
    for document, ids in tqdm(
        zip(texts.documents, texts.ids, strict=True), "scoring", len(texts.ids), disable=None,
        leave=False, delay=2,
    ):  # fmt: skip
        whole = document.ids or load_tokenizer(config.model)(document.text)["input_ids"]
        tokens = torch.tensor([list(whole)], device=device)
        with torch.inference_mode():
            scores = model(input_ids=tokens).logits[0, :-1].float().log_softmax(dim=-1)
        each = scores.gather(1, tokens[0, 1:, None])[:, 0].double().cpu().numpy()
        own = each[-len(ids) :]
        found.append(np.concatenate([np.full(len(ids) - len(own), own.mean()), own]))
    return found
