"""
Predict what is known of a text from the topology that a model forms over it, beside its controls.

Question: does the correlation matrix of a layer's neurons over a text tell the text's perplexity
(or subject, or any column of a table) better than simpler things that know as much of the text?

How: every text gives inputs of equal standing: the layer's activation at the last token or its mean
over tokens, the topology (upper triangle), and controls: length, bag of tokens, mean and standard
deviation of the activations, covariances, the topology of the embeddings and of randomly
initialised models, and shuffled targets. Each is read by a ridge regression, by the linear and MLP
probes of Zheng et al. 2025 (arXiv:2506.01042), and topologies also by their graph network (GCN).
Documents are split into training, validation and test part; intervals draw test documents anew.

Commands:
  `{program} model=qwen0.5b data=openwebtext data.limit=1000 data.perplexity=[1,99]`
  `{program} data=mmlu study.targets=[subject] study.layers=each study.probes=[ridge]`
  `{program} study.layers=[3] study.densities=[1,0.1,0.01]`
  `{program} study.protocol=paper`   chooses on the test part, as published; optimistic
"""
