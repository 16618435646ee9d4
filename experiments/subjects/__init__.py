"""
Compare the topologies of subjects with each other, and with what the words alone would give.

Question: do subjects have topologies of their own (Zheng et al. 2025, arXiv:2506.01042), does a
text's topology tell its subject better than its vocabulary does, and what does a single neuron,
set from low to high, change in what the model says next?

How: every subject gives equally many texts of equally many tokens. The mean topologies of subjects
are correlated and clustered, beside the ceiling that halves of one subject set, and beside the
same of the token embeddings and of bags of tokens; whole prompts and the questions alone. Single
texts are given to the nearest mean topology of other documents.

Commands:
  `{program} model=qwen0.5b data=mmlu subject=stem layers=middle`
  `{program} data=sample data.split=questions 'study.subjects=[mathematics,law,history]'`
  `{program} data=mmlu data.path=DIR 'study.neurons=[894]' layers=12 study.unit=raw`
"""
