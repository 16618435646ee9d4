"""
Tell true answers from false ones by their topologies, and by what needs no trained model.

Question: texts "Question: … Answer: …" of TruthfulQA are read by a model. Can a probe on the
topology of one text say whether the answer is true (Zheng et al. 2025, arXiv:2506.01042)? Are
topologies of true answers to a question more like each other than like those of false ones (the
coupling index)? Beside each stands what needs no trained model: the topology of the token
embeddings and of randomly initialised models, the answer's bag of tokens, lengths, the majority,
and labels shuffled within each question.

How: linear probes with two outputs (ridge regression, in its dual form). Questions are split, and
drawn anew for the intervals, as a whole: no question is on both sides. `layers=all`, the default
of the program, means the middle layer here; layers=each and layers=[3,7] make a result each.

Commands:
  `{program} model=qwen0.5b data=truthfulqa`
  `{program} model=local model.path=DIR data=truthfulqa data.path=TruthfulQA.csv layers=each`
"""
