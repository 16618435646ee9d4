"""The model card stored with the weights."""

from pathlib import Path
from typing import Any

from experiments.train_tiny.settings import TrainTiny

CARD = """\
---
license: other
license_name: psf-2.0
license_link: https://docs.python.org/3/license.html
language: en
library_name: transformers
pipeline_tag: text-generation
---

# Tiny model of the Python documentation

A really trained, really small language model, made to be used in examples and tests of `probe`.
It continues text in the manner of Python's documentation. No language ability is claimed: what
it says is often untrue or without sense.

## How it was made

`python -m experiments.train_tiny`, with Python {python} and nothing downloaded.

| | |
|---|---|
| Corpus | `pydoc_data.topics` and the docstrings of the standard library, read from its sources |
| Trained on | {train_documents:,} documents, {train_bytes:,} bytes, {train_tokens:,} tokens |
| Held out | {held_out_documents:,} documents, {held_out_bytes:,} bytes, \
{held_out_tokens:,} tokens |
| Architecture | Qwen2: {num_layers} layers of width {hidden_size}, {num_heads} heads, \
{num_key_value_heads} key-value heads, feed-forward width {intermediate_size}, tied embeddings |
| Parameters | {parameters:,} |
| Tokenizer | byte-level BPE, {vocabulary:,} tokens, learned from the training documents |
| Longest input | {window:,} tokens |
| Training | {steps:,} steps of {batch_size} windows of {window:,} tokens: {tokens_seen:,} tokens \
({passes:.1f} passes) in {seconds:,.0f} seconds on {threads} processor threads, float32 |
| Optimiser | AdamW, learning rate {learning_rate:g}, {warmup_steps} warm-up steps, cosine decay \
to zero, weight decay {weight_decay:g}, gradient norm at most {gradient_clip:g}, seed {seed} |
| Stored as | float16; `config.json` asks for loading in float32 |

Documents were held out by a hash of their names. No paragraph of 80 characters or more stands in
the corpus twice, so none of the held-out ones was trained on.

## Held-out bits per byte

| Model | Bits per byte |
|---|---|
| untrained, same seed | {untrained_bits_per_byte:.3f} |
| trained, float32 | {trained_bits_per_byte:.3f} |
| as stored (float16), loaded in float32 | {stored_bits_per_byte:.3f} |

Measured in windows of {window:,} tokens, each beginning with the last token of the one before it.

## Licence

The corpus is documentation of Python, copyright © 2001 and later, Python Software Foundation,
all rights reserved, used under the Python Software Foundation Licence Version 2; some modules of
the standard library carry free licences of their own, listed at
<https://docs.python.org/3/license.html>. The weights were made from nothing else and are passed on
under the same terms.
"""


def write_card(settings: TrainTiny, report: dict[str, Any], path: Path) -> None:
    """
    Write the model card.

    Parameters
    ----------
    settings
        Settings of the training.
    report
        Results of the training.
    path
        File to write.
    """
    passes = report["tokens_seen"] / report["train_tokens"]
    path.write_text(CARD.format(**vars(settings), **report, passes=passes), encoding="utf-8")
