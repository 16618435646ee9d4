"""
Match two models by their topologies of the same texts, with training and without.

Question: do two models form alike topologies of the same text (Zheng et al. 2025,
arXiv:2506.01042)? Two graph neural networks, one a model, learn to give the topologies of one text
like embeddings; on texts that they have not seen, GAUC says how often a text's own counterpart is
nearer than another text's. Without training: how well the average topologies agree after the best
assignment of neurons, and how far their spectra are apart. Beside each stands the same with a
randomly initialised model, which has learned nothing that could match but reads the same tokens.

How: `study.other` has the words that make the second model of the first, each in quotes. Texts are
split, and drawn anew for the intervals, by document. `layers=all`, the default of the program,
means the middle layer here.

Commands:
  `{program} model=pythia160m data=openwebtext "study.other=['model=gpt2']"`
  `{program} model=pythia160m data=openwebtext "study.other=['model.revision=step1000']"`
  `{program} "study.other=['init=random']"`
"""
