"""
Ablate selected neurons, and measure the effect on the model's predictions.

Question: does the model depend on the hubs of its topology more than on other neurons? Controls
are equally many random neurons, and random neurons of the same activation norm.

How: the texts are split into two halves that share no document. The first gives every neuron's mean
and deviation, and the average topology. In the second half the selected neurons of `layers`
are treated at all tokens: set to their mean or to zero, perturbed by noise of their own standard
deviation, shifted or scaled. Perplexity, the divergence of the next-token distribution from the
untouched model's, and accuracy and margin on questions are compared with the untouched model, with
intervals over documents. `study.masks` takes neurons of any study, beside controls outside them.

Commands:
  `{program} data=openwebtext data.cut=tokens data.window=128 data.min_tokens=128`
  `{program} model=qwen0.5b data=mmlu 'study.measure=[accuracy]' 'study.treatment=[mean,zero]'`
  `{program} study.scope=average 'study.order=[lowest]' 'study.treatment=[zero]'`   prunes
"""
