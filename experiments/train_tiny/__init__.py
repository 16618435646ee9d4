"""
Train the tiny language model that is bundled with the tool.

Question: how well can a model small enough to be bundled (at most 4 MB) learn a language from
text that every Python carries, so that examples and tests have a really trained model at hand?

How: a Qwen2 model of about 1.4 million parameters and its own byte-level BPE tokenizer are
trained on `pydoc_data.topics` and the standard library's docstrings, read from source. About 5 %
of the documents are held out; on them the trained model's bits per byte are compared with those
of the same model before training. The model is stored in float16, loaded again and measured once
more.

Command: `python -m experiments.train_tiny`
"""
