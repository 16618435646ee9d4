"""A byte-level BPE tokenizer trained on the training documents."""

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

    All 256 bytes are tokens, so that every text can be encoded; it is decoded in Unicode's composed
    form (NFC), otherwise unchanged.

    Parameters
    ----------
    documents
        Training documents.
    vocabulary
        Number of tokens.
    window
        Context length of the model, stored with the tokenizer.

    Returns
    -------
    Qwen2Tokenizer
        Tokenizer that adds no special tokens to a text.
    """
    # AutoTokenizer uses Qwen2's pre-tokenizer for every Qwen2 model, whatever is stored: only with
    # it does the loaded tokenizer agree with the trained one.
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
    Encode the documents as one stream of tokens, with the end-of-text token around each.

    Parameters
    ----------
    tokenizer
        Tokenizer of the model.
    documents
        Documents in the order of the stream.

    Returns
    -------
    torch.Tensor
        Token ids, of one dimension.
    """
    end: int = tokenizer.eos_token_id
    tokens = [end]
    for document in documents:
        # The backend does not warn about documents longer than the context.
        tokens += tokenizer.backend_tokenizer.encode(document.text).ids
        tokens.append(end)
    return torch.tensor(tokens, dtype=torch.long)
