"""Models: the trunk without its LM head, its blocks, its tokenizer."""

from probe.models.blocks import block_lists, count_layers, find_blocks, text_config
from probe.models.fingerprint import model_fingerprint, template_fingerprint
from probe.models.kept import keep_trunk, recall_trunk, weights_in_memory
from probe.models.limits import LengthLimit, begins_behind_padding, length_limit
from probe.models.load import (
    fetch_language_model,
    fetch_model,
    load_config,
    load_language_model,
    load_trunk,
    outline,
    weights_bytes,
)
from probe.models.sites import HookPoint, find_hook_point
from probe.models.spread import refuse_disk, settle
from probe.models.state import ModelState
from probe.models.tokens import load_tokenizer
from probe.models.unembedding import Unembedding, open_unembedding
from probe.models.weights import Weights, open_weights
