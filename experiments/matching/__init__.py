"""
Match two models by their topologies of the same texts, with and without training.

Question: do two models form similar topologies of the same text (Zheng et al. 2025,
arXiv:2506.01042)? Two graph neural networks, one per model, learn similar embeddings for the
topologies of one text; on the test set, GAUC is how often a text is nearer to its own counterpart
than to another text. Without training: how well the average topologies agree after the best
assignment of neurons, and the distance of their spectra. Controls are randomly initialised models,
which read the same tokens but have learned nothing, token embeddings and text lengths.

How: `study.other` has the words that turn the first model into the second, each in quotes. Texts
are split, and resampled for the intervals, by document. One layer
of each model is matched, by default the middle one.

Commands:
  `{program} model=pythia160m data=openwebtext "study.other=['model=gpt2']"`
  `{program} model=pythia160m data=openwebtext "study.other=['model.revision=step1000']"`
  `{program} "study.other=['init=random']"`
"""
