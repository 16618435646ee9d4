"""
Compare the topologies of subjects, against token embeddings and bags of tokens.

Question: do subjects have their own topologies (Zheng et al. 2025, arXiv:2506.01042), does a
text's topology predict its subject better than its vocabulary does, and how does sweeping a single
neuron change the next token?

How: every subject has the same number of texts with the same number of tokens. The mean topologies
of subjects are correlated and clustered, against the noise ceiling (two halves of one subject), and
against token embeddings and bags of tokens; for whole prompts and for the questions alone. Single
texts are classified by the nearest mean topology of other documents.

Commands:
  `{program} model=qwen0.5b data=mmlu subject=stem layers=middle`
  `{program} data=sample data.split=questions 'study.subjects=[mathematics,law,history]'`
  `{program} data=mmlu data.path=DIR 'study.neurons=[894]' layers=12 study.unit=raw`
"""
