"""
Find the hubs of the topology, and whether there is more to them than to any set of axes.

Question: do the same neurons have the largest strength (sum of |r| with all others) in nearly
every text (Zheng et al. 2025, arXiv:2506.01042), and are they the same ones in other data, other
layers, other weights, and without the first token?

How: hubs are chosen by the average topology of one half of the documents, and how often they are
among the strongest is counted in the other half. Beside it stands the same of a randomly rotated
basis, of circularly shifted series and of random weights; beside overlaps, relabelled neurons.

Commands:
  `{program} model=qwen0.5b data=mmlu layers=middle`
  `{program} data.limit=20 'study.over=["data=sample data.split=questions","layers=3"]'`
      also what these words change, and how many hubs they have in common
  `{program} 'study.runs=[RUN,RUN]'`   also hubs of finished runs of python -m probe
"""
