"""
Train the tiny language model that is bundled with probe.

Question: how well can a model small enough to be bundled (at most 4 MB) learn language from text
that comes with every Python, so that examples and tests have a properly trained model?

How: a Qwen2 model of about 1.4 million parameters and its byte-level BPE tokenizer are trained on
`pydoc_data.topics` and the docstrings of the standard library, read from source. About 5 % of the
documents are held out; on them, bits per byte of the trained model are compared with those of the
untrained one. The model is stored in float16, loaded again and measured once more.

Command: `python -m experiments.train_tiny`
"""
