"""Building blocks for studies that need more than topologies and activations.

They allow a custom loop over ranks, a model with its head, hubs compared as in `probe.compare`.
Importing this module imports torch and transformers.
"""

from probe.api.per_text import planned
from probe.compare.hubs import Overlap, Relabelling
from probe.compare.spaces import Space
from probe.correlation import MeanSums, rank
from probe.data import load_documents
from probe.distributed import Ranks, n_ranks, run_ranks, spread, this_rank
from probe.examples.batches import Batch, Tensors, form_batches
from probe.examples.choose import Example
from probe.examples.cut import merge_paragraphs
from probe.examples.layers import resolve_layers
from probe.examples.plan import context_length
from probe.examples.request import Request
from probe.examples.share import share
from probe.extraction.activations import Reader, model_inputs
from probe.extraction.checkpoints import Keeper
from probe.extraction.checkpoints import find as find_checkpoints
from probe.extraction.circular_shift import draw_shifts, shift
from probe.extraction.loop import Loop
from probe.extraction.out_of_memory import out_of_memory
from probe.extraction.perplexity import perplexities
from probe.extraction.token_norms import over_median, token_norms, without_outliers
from probe.extraction.with_head import settled
from probe.measures import HUB_SHARE
from probe.models import (
    LengthLimit,
    Weights,
    fetch_language_model,
    fetch_model,
    find_blocks,
    length_limit,
    load_config,
    load_language_model,
    load_tokenizer,
    load_trunk,
    model_fingerprint,
    open_weights,
    outline,
)
from probe.statistics import FEW, Resamples, interval, members_of, split_by_group
from probe.system.device_memory import format_bytes, free_memory, release_cached
