"""
Detect false answers from topologies, against controls that need no trained model.

Question: a model reads texts "Question: … Answer: …" of TruthfulQA. Can a probe on the topology of
one text predict whether the answer is true (Zheng et al. 2025, arXiv:2506.01042)? Are topologies of
true answers to a question more similar to each other than to those of false answers (the coupling
index)? Controls: topologies of token embeddings and of randomly initialised models, the answer's
bag of tokens, lengths, the majority class, and labels shuffled within each question.

How: linear probes with two outputs (ridge regression in its dual form). Whole questions are split,
and resampled for the intervals: no question is in two sets. The default is
layers=middle; layers=each and layers=[3,7] give one result per layer.

Commands:
  `{program} model=qwen0.5b data=truthfulqa`
  `{program} model=local model.path=DIR data=truthfulqa data.path=TruthfulQA.csv layers=each`
"""
