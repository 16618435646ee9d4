"""
Say what every neuron fires on, as a graph that can be read, searched and tested.

Question: on which tokens, in which context, does a neuron fire (Foote et al. 2023,
arXiv:2305.19911), and does its graph foretell texts that it was not made from?

How: the texts that activate a neuron most are cut, masked and varied until only what it needs is
left. Graphs are tested on half of these texts and on random ones, beside lookups of tokens and of
n-grams, and beside the graphs of untrained weights.

Commands:
  `{program} data=sample 'study.units=["3:17","4"]'`
      neuron 17 of layer 3, and all of layer 4
  `{program} model=gpt2 data=openwebtext data.limit=2000 study.units=all`
      every neuron
  `{program} model=gpt2 data=openwebtext 'study.units="hubs:RUN"'`
      the hubs of a finished run of python -m probe site=mlp
"""
