"""
Measure how regular and how heterogeneous a model's weights are, over checkpoints.

Question: does the multifractal "degree of emergence" of the weights (Xiao et al. 2025,
arXiv:2402.09099) say more of a model than the number of its training steps?

How: networks of a few neurons of every layer, with edges of length 1/|w|. Boxes grow around their
neurons, and exponents of the partition function give a spectrum: its α₀ is regularity, its width
heterogeneity. Beside them the same of shuffled weights, the norm of the weights, and log(step + 1).

Commands:
  `{program} model=pythia160m`
      the spectrum of one checkpoint
  `{program} model=pythia160m 'study.revisions=[step0,step512,step143000]' study.scores=scores.csv`
      over training, beside benchmark scores
  `{program} model=local 'study.checkpoints=RUN/checkpoints/step*'`
      checkpoints in folders
  `{program} model=pythia160m study.mode=public`
      with the layout and the rules of the published code
"""
