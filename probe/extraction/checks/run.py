"""The checks of one run: on rank 0, before any batch is dealt out, and for all ranks alike."""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from probe.config import ModelConfig, model_name
from probe.distributed import Ranks
from probe.errors import UserError
from probe.examples.batches import Batch, Together
from probe.examples.request import Request
from probe.examples.share import padding_token
from probe.extraction.activations import Reader
from probe.extraction.checked import CHECKS, as_checked
from probe.extraction.checks.hidden_states import (
    ASKED,
    compare,
    gives_hidden_states,
    recorded,
)
from probe.extraction.checks.padding import Difference, Reading, decide, difference, read
from probe.extraction.checks.texts import first_texts
from probe.extraction.out_of_memory import out_of_memory

logger = logging.getLogger(__name__)
_HOLDS = {Together.equal: "texts of equal length only", Together.single: "one text each"}


@dataclass(frozen=True)
class Checks:
    """What was found, as the manifest has it.

    Attributes
    ----------
    hidden_states : int
        Layers that are bit by bit the model's own hidden states; 0 if it gives none.
    batches : str
        What a batch may hold, see `Together`.
    padded : list of dict
        How far a padded batch differs from its texts alone, the short one and the long one.
    equal : dict, optional
        How far a batch of equal length differs, if a padded one does by more than rounding.
    changes : list of str
        Attributes of the model that reading changes, which are put back before every batch.
    """

    hidden_states: int
    batches: str
    padded: list[dict[str, Any]]
    equal: dict[str, Any] | None
    changes: list[str]


def settle(request: Request, ranks: Ranks, reader: Reader) -> tuple[Request, Checks | None]:
    """Check, or take over what an earlier session has found; return the request with its batches.

    Raises
    ------
    UserError
        If the hooks read something else than the model's hidden states, or a shape is odd.
    """
    before = request.checkpoints
    if before is not None and before.files:
        word = before.of.get(CHECKS)
    elif request.config.model.checks and request.batches:
        word = ranks.decide(request.run, lambda: json.dumps(asdict(check(reader, request))))
    else:
        word = None
    if word is None:
        return request, None
    checks = Checks(**json.loads(word))
    reader.restless = reader.restless or bool(checks.changes)
    if before is not None:
        request = replace(request, checkpoints=replace(before, of=before.of | {CHECKS: word}))
    return as_checked(request, word), checks


def check(reader: Reader, request: Request) -> Checks:
    """Read the beginnings of two texts together and alone, in at most four forward passes."""
    batch = first_texts(request)
    if batch is None:
        return Checks(0, Together.like.value, [], None, [])
    # Full float32 products, whatever the process's setting.
    torch.set_float32_matmul_precision("highest")
    try:
        with _as_user_error(request.config.model, batch):
            return _check(reader, batch, request.config.model)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        logger.warning("the checks ran out of memory, so batches hold %s", _HOLDS[Together.single])
        return Checks(0, Together.single.value, [], None, [])
    finally:
        reader.state.restore(hooks=True)


def _check(reader: Reader, batch: Batch, model: ModelConfig) -> Checks:
    trunk, dtype = reader.trunk, getattr(torch, model.dtype.value)
    pad = padding_token(model, trunk)
    asked = ASKED if gives_hidden_states(trunk) else {}
    with recorded(reader) as outputs:
        together, tensors, output = read(reader, batch, pad, model, **asked)
    states = getattr(output, "hidden_states", None)
    layers = compare(reader, outputs, states, tensors)
    changes = set(reader.state.changed())
    del outputs, states, output

    def reading(*ids: Sequence[int]) -> Reading:
        reader.state.restore()
        found = read(reader, Batch(list(range(len(ids))), [*ids]), pad, model)[0]
        changes.update(reader.state.changed())
        return found

    long, short = batch.ids
    alone = reading(short)
    padded, equal = [difference(together, 1, alone, dtype)], None
    # With weights on the host every pass moves them all.
    if not any(weight.device.type == "meta" for weight in trunk.parameters()):
        padded.append(difference(together, 0, reading(long), dtype))
        if not padded[1].passes:  # not for its padding: it has none
            _refuse_random(difference(alone, 0, reading(short), dtype), model)
        elif not padded[0].passes:
            alike = reading(long[: len(short)], short)
            equal = difference(alike, 1, alone, dtype)
    together_in = decide(padded, equal)
    if together_in is not Together.like:
        worst = max(padded, key=lambda one: one.x)
        logger.info(
            "in a padded batch a text's r differs by up to %.2g from the text alone, so batches "
            "hold %s", worst.r, _HOLDS[together_in],
        )  # fmt: skip
    return Checks(
        hidden_states=layers,
        batches=together_in.value,
        padded=[_rounded(one) for one in padded],
        equal=None if equal is None else _rounded(equal),
        changes=sorted({name.rpartition(".")[2] for name in changes}),
    )


def _refuse_random(repeated: Difference, model: ModelConfig) -> None:
    """Refuse a model that reads the same text otherwise each time, as with random hashes."""
    if not repeated.passes:
        raise UserError(
            f"model={model_name(model)} reads the same text otherwise each time (its r differs by "
            f"up to {repeated.r:.2g}), so it has no correlations of its own; use another model, or "
            "model.checks=false to read it once all the same"
        )


@contextmanager
def _as_user_error(model: ModelConfig, batch: Batch) -> Iterator[None]:
    """Say in one line that a model cannot read texts, in place of its own traceback."""
    try:
        yield
    except UserError:
        raise
    except (RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        if out_of_memory(error):
            raise
        lengths = " and ".join(str(len(ids)) for ids in batch.ids)
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(
            f"model={model_name(model)} cannot read texts of {lengths} tokens together ({why}); "
            "use another model"
        ) from error


def _rounded(one: Difference) -> dict[str, Any]:
    return {name: float(f"{value:.3g}") for name, value in asdict(one).items()}
