"""A byte-level BPE tokenizer learned from the training documents."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import Qwen2Tokenizer

from experiments.train_tiny.corpus import Document

END_OF_TEXT = "<|endoftext|>"


def learn_tokenizer(documents: Iterable[Document], vocabulary: int, window: int) -> Qwen2Tokenizer:
    """
    Learn the tokenizer.

    All 256 bytes are tokens, so that every text can be encoded; it comes back in Unicode's
    composed form (NFC), otherwise unchanged.

    Parameters
    ----------
    documents
        Documents to learn the merges from.
    vocabulary
        Number of tokens.
    window
        Longest input of the model, stored with the tokenizer.

    Returns
    -------
    Qwen2Tokenizer
        Tokenizer that adds no special tokens to a text.
    """
    # AutoTokenizer cuts words as Qwen2 does for every Qwen2 model, whatever the stored tokenizer
    # says: only with Qwen2's cuts does the loaded tokenizer agree with the learned one.
    tokenizer = Qwen2Tokenizer(
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=window,
        clean_up_tokenization_spaces=False,
    )
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = (document.text for document in documents)
    tokenizer.backend_tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode_stream(tokenizer: Qwen2Tokenizer, documents: Iterable[Document]) -> torch.Tensor:
    """
    Encode the documents as one row of tokens, with the end-of-text token around each.

    Parameters
    ----------
    tokenizer
        Tokenizer of the model.
    documents
        Documents in the order of the row.

    Returns
    -------
    torch.Tensor
        Token numbers, of one dimension.
    """
    end: int = tokenizer.eos_token_id
    tokens = [end]
    for document in documents:
        # The inner tokenizer does not warn about documents longer than the model's input.
        tokens += tokenizer.backend_tokenizer.encode(document.text).ids
        tokens.append(end)
    return torch.tensor(tokens, dtype=torch.long)
