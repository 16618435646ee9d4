"""
Predict properties of a text from its topology, against simpler baselines.

Question: how well does the correlation matrix of a layer's neurons over a text predict the text's
perplexity (or subject, or any column of a table), compared with simpler features of the same text?

How: the inputs are the layer's topology (upper triangle), its activation at the last token or its
mean over tokens, and controls: length, bag of tokens, mean and standard deviation of the
activations, covariances, topologies of the embeddings and of randomly initialised models, and
shuffled targets. Each is read by ridge regression and by the linear and MLP probes of Zheng et al.
2025 (arXiv:2506.01042), and topologies also by their graph network (GCN). Documents are split into
training, validation and test set; intervals resample the test documents.

Commands:
  `{program} model=qwen0.5b data=openwebtext data.limit=1000 data.perplexity=[1,99]`
  `{program} data=mmlu study.targets=[subject] layers=each study.probes=[ridge]`
  `{program} layers=3 study.densities=[1,0.1,0.01]`
  `{program} study.protocol=paper`   selects on the test set, as published; optimistic
"""
