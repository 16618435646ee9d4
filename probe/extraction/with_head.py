"""Passes with the language-model head: what they find of every example is kept and found again."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from probe.config import Config, DataConfig, InitConfig, ModelConfig, RuntimeConfig, Site
from probe.distributed import Ranks, run_ranks
from probe.examples.batches import Batch, Tensors, Together, regrouped
from probe.examples.example import Example
from probe.examples.request import Request
from probe.examples.share import share
from probe.extraction.activations import Reader
from probe.extraction.checkpoints import Keeper, find
from probe.extraction.checks import settle
from probe.extraction.out_of_memory import Read, in_halves
from probe.models import count_layers, find_blocks, load_config, model_fingerprint
from probe.system.files import atomic_write
from probe.system.locks import one_process

logger = logging.getLogger(__name__)
# Logits of a batch, in numbers: some 1 GB.
_LOGITS = 1 << 28


def token_budget(config: Config) -> int:
    """Return the most tokens of a batch whose logits fit in memory."""
    vocabulary: int = load_config(config.model).get_text_config().vocab_size
    return min(config.runtime.token_budget, max(1, _LOGITS // vocabulary))


def kept(
    kind: str,
    doing: str,
    examples: Sequence[Example],
    config: Config,
    of: Mapping[str, Any],
    find_values: Callable[[Path, str], NDArray[Any]],
) -> NDArray[Any]:
    """Return what the pretrained model finds of the examples, from the output folder if there.

    Parameters
    ----------
    kind : str
        What is found, e.g. `perplexity`; names the folder.
    doing : str
        How it is found, e.g. `scoring`, for the one who waits for it.
    examples : sequence of Example
        Token ids.
    config : Config
        Model, device and ranks.
    of : mapping
        What the values depend on beside the model and the examples.
    find_values : callable
        Called with a folder for checkpoints and the model's fingerprint; returns a row for every
        example.
    """
    model = model_fingerprint(config.model, InitConfig())
    key = _key(examples, config.model, {"at": model, **of})
    file = Path(config.output) / f".{kind}" / f"{key}.npy"

    def wait() -> None:
        logger.info("another process is %s the same examples; waiting for it", doing)

    with one_process(config.output, key, wait):
        if not file.is_file():
            checkpoints = file.with_suffix(".unfinished")
            values = find_values(checkpoints, model)
            with atomic_write(file) as unfinished, unfinished.open("wb") as stream:
                np.save(stream, values, allow_pickle=False)
            shutil.rmtree(checkpoints)
        found: NDArray[Any] = np.load(file, allow_pickle=False)
    return found


def on_all_ranks(
    work: str,
    config: Config,
    data: DataConfig,
    examples: Sequence[Example],
    batches: list[Batch],
    checkpoints: Path,
    model: str,
) -> Tensor:
    """Run a pass over batches on all ranks, from where an earlier session was interrupted.

    Parameters
    ----------
    work : str
        `module:function`, which returns the `values` of a packed request on rank 0.
    config : Config
        Model, device and ranks.
    data : DataConfig
        All that `work` reads of `data`.
    examples, batches
        Token ids, in their order and in batches.
    checkpoints, model
        See `kept`.
    """
    budget = token_budget(config)
    runtime = replace(config.runtime, token_budget=budget, matmul=RuntimeConfig().matmul)
    request = Request(
        # Values depend on nothing else: runs that differ otherwise share checkpoints.
        Config(config.model, data, runtime=runtime, launch=config.launch),
        layers=[],
        batches=batches,
        names=[example.document for example in examples],
        run=f"{work}-{time.monotonic_ns()}",
        matrices=[],
    )
    # Another budget makes other batches.
    request = replace(request, checkpoints=find(checkpoints / str(budget), request, model))
    found = run_ranks(work, request.to_bytes(), request.processes, config.runtime.device)
    return found["values"]


class Rows:
    """A row of values for every example; 0 for examples of other ranks.

    Attributes
    ----------
    values : Tensor, shape (n_examples, ...)
        The rows.
    counts : Tensor of int64, shape (1,)
        Batches that were read in parts.
    """

    def __init__(self, *shape: int, dtype: torch.dtype = torch.float64) -> None:
        self.values = torch.zeros(*shape, dtype=dtype)
        self.counts = torch.zeros(1, dtype=torch.long)

    def state(self) -> dict[str, Tensor]:
        """Return rows and counts by name."""
        return {"values": self.values, "counts": self.counts}

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of another rank."""
        self.values += state["values"]
        self.counts += state["counts"]


def settled(request: Request, ranks: Ranks, model: nn.Module) -> tuple[Request, Callable[[], None]]:
    """Return a request in the batches that the checks allow, for whatever reads with the head.

    Parameters
    ----------
    request : Request
        Texts in batches.
    ranks : Ranks
        This process among the ranks, all of which ask.
    model : nn.Module
        A language model with its head.

    Returns
    -------
    request : Request
        In these batches.
    rest : callable
        To be called before every pass: reading a batch may change how a model reads the next.

    Raises
    ------
    UserError
        See `probe.extraction.checks`.
    """
    trunk: nn.Module = model.base_model  # type: ignore[assignment]
    own = request.config.model
    last = count_layers(trunk, find_blocks(trunk, own)) - 1  # which the head reads
    reader = Reader(trunk, own, [last], Site.residual)
    request, _ = settle(request, ranks, reader)
    return request, reader.rest


def fill(
    rows: Rows,
    request: Request,
    ranks: Ranks,
    model: nn.Module,
    read: Read,
    narrow: Callable[[Request, Callable[[], None]], Together] | None = None,
) -> dict[str, Tensor]:
    """Read this rank's batches, each of which fills its rows; return all rows on rank 0.

    `narrow`, if given, is asked what the batches may hold beyond what the checks allow.
    """
    request, rest = settled(request, ranks, model)
    if narrow is not None:
        together = Together(ranks.decide(f"{request.run}-narrow", lambda: narrow(request, rest)))
        budget = request.config.runtime.token_budget
        request = replace(request, batches=regrouped(request.batches, budget, together))

    def rested(batch: Batch, tensors: Tensors) -> None:
        rest()
        read(batch, tensors)

    with Keeper(request, ranks, rows) as keeper:
        for batch, tensors in share(request, ranks, model):
            parts = sum(1 for _ in in_halves(batch, tensors, rested))
            if not keeper.note(batch, parts):
                break
        keeper.wait()
    for state in ranks.collect(rows.state()):
        rows.merge(state)
    return {"values": rows.values} if ranks.main else {}


def _key(examples: Sequence[Example], model: ModelConfig, of: Mapping[str, Any]) -> str:
    """Hash everything that the values depend on."""
    plain = asdict(model) | dict(of)
    for name in ("device_map", "stream", "checks"):  # they change nothing
        del plain[name]
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for example in examples:
        digest.update(np.array([len(example.ids), *example.ids], dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]
