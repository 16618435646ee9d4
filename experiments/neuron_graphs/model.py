"""The model of a study: its weights, what reads rows, what proposes substitutes."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from experiments.neuron_graphs.answering import Answerer
from experiments.neuron_graphs.packing import Packer
from experiments.neuron_graphs.presets import PRESETS
from experiments.neuron_graphs.reading import Rows
from experiments.neuron_graphs.settings import NeuronGraphsConfig
from experiments.neuron_graphs.substitutes import Neighbours, OwnPredictions, SubstituteProvider
from experiments.neuron_graphs.tokens import Tokens
from probe.api import UserError
from probe.api.parts import (
    length_limit,
    load_config,
    load_language_model,
    load_trunk,
    spread,
    this_rank,
)


@dataclass(frozen=True, eq=False)
class Models:
    """What answers for the given model, and for the same with random weights.

    Attributes
    ----------
    config : NeuronGraphsConfig
        The study.
    tokens : Tokens
        Its tokens.
    """

    config: NeuronGraphsConfig
    tokens: Tokens

    def answerer(self, config: NeuronGraphsConfig) -> Answerer:
        """Load a model, and return what answers for it.

        Substitutes for untrained weights, too, are those of the given ones: what differs is the
        model alone.

        Parameters
        ----------
        config : NeuronGraphsConfig
            The study, or the same with random weights.

        Raises
        ------
        UserError
            If a model cannot be loaded, has no head, or also reads what is behind a token.
        """
        study, device = config.study, this_rank(config.runtime.device).device
        language: nn.Module | None = None
        if study.substitutes == "model":
            language = self._language_model(device)
        if language is not None and config.init == self.config.init:
            trunk: Any = language.base_model
        else:
            trunk = self._trunk(config, device)
        _refuse_encoders(trunk, device)
        rows = Rows(trunk, config, device, pad=0)
        limit = length_limit(load_config(config.model).get_text_config())
        packer = Packer(rows, study.rows, study.row_tokens, limit)
        return Answerer(packer, self._provider(config, language, trunk, device))

    def _provider(
        self,
        config: NeuronGraphsConfig,
        language: nn.Module | None,
        trunk: Any,
        device: torch.device,
    ) -> SubstituteProvider | None:
        study = self.config.study
        if study.substitutes == "none":
            return None
        allowed = self.tokens.substitutable(PRESETS[study.preset].letters)
        if language is not None:
            return OwnPredictions(
                language, self.config, device, allowed, study.rows, study.row_tokens
            )
        if study.substitutes == "masked":
            from experiments.neuron_graphs.masked_model import MaskedModel

            return MaskedModel(
                study.masked_model, self.tokens.tokenizer, allowed, device, study.rows,
                study.row_tokens,
            )  # fmt: skip
        given = trunk if config.init == self.config.init else self._trunk(self.config, device)
        return Neighbours(given.get_input_embeddings().weight, allowed)

    @staticmethod
    def _trunk(config: NeuronGraphsConfig, device: torch.device) -> Any:
        trunk = load_trunk(config.model, config.init, device)
        # Random weights are drawn on the host; trained ones are spread as they are read.
        drawn = config.init.kind.value == "random" and config.model.device_map is not None
        return spread(trunk, device) if drawn else trunk

    def _language_model(self, device: torch.device) -> nn.Module:
        try:
            return load_language_model(self.config.model, device)
        except UserError as error:
            raise UserError(
                f"study.substitutes=model needs the model's predictions, and {error}; or give "
                "study.substitutes=embeddings or none"
            ) from error


@torch.inference_mode()
def _refuse_encoders(trunk: Any, device: torch.device) -> None:
    """Refuse a model in which a token's activations depend on those behind it."""
    two = torch.tensor([[1, 2], [1, 3]], device=device)
    first, other = trunk(input_ids=two).last_hidden_state[:, 0].float()
    if not torch.allclose(first, other, rtol=1e-2, atol=1e-2 * float(first.abs().max())):
        raise UserError(
            f"{type(trunk).__name__} also reads what is behind a token, and graphs are of what is "
            "before it; use a decoder"
        )
