"""
Ablate chosen neurons, and see what becomes of the model's predictions.

Question: does the model use the hubs of its topology more than other neurons? A choice of neurons
says something only beside as many neurons drawn at random, and beside neurons that hold as much of
the activations' norm.

How: the texts are cut into two halves that share no document. The first gives every neuron's mean
and deviation, and the average topology. In the second the chosen neurons of `study.layers` are
treated at all tokens: set to their mean or to zero, or given noise of their own size. Perplexity,
the divergence of the next-token distribution from the untouched model's, and the accuracy on
questions are compared with the untouched model's, with intervals over documents.

Commands:
  `{program} data=openwebtext data.cut=tokens data.window=128 data.min_tokens=128`
  `{program} model=qwen0.5b data=mmlu 'study.measure=[accuracy]' 'study.treatment=[mean,zero]'`
  `{program} study.scope=average 'study.order=[lowest]' 'study.treatment=[zero]'`   prunes
"""
