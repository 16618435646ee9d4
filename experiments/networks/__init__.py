"""
Find groups of neurons that act together, and test what the model loses without them.

Question: do the functional networks that independent component analysis finds in a language model
(Liu et al. 2025, arXiv:2502.20408) recur, and does the model need them more than as many neurons
that are merely loud?

How: networks, signs and thresholds come from one half of the documents. Stability over starts and
halves, recurrence in single texts and in other data, each beside templates permuted within layers.
Effects are measured on the other half, beside random neurons, neurons of like RMS and the loudest.

Commands:
  `{program} model=gpt2 data=wikitext data.limit=100`
      networks, where they lie, whether they recur
  `{program} model=gpt2 data=wikitext 'study.effects=[lesion,keep]' 'study.components=[10,64]'`
      and what the model loses without them, or with them alone
  `{program} data=mmlu subject=stem 'study.effects=[lesion]' 'study.measure=[accuracy,margin]'`
      on questions
  `{program} model=gpt2 data=wikitext "study.also=['data=mbpp']"`
      recurrence between kinds of text
"""
