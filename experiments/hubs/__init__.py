"""
Find the hubs of a topology, and test whether they are more than hubs of any random basis.

Question: do the same neurons have the largest strength (sum of |r| with all others) in nearly
every text (Zheng et al. 2025, arXiv:2506.01042), and do hubs agree across data sets, layers,
weights, and without the first token? Which do without tokens that rule a text, and by rank?

How: hubs are chosen from the average topology of one half of the documents, and counted in the
texts of the other half. Null models: randomly rotated bases, circularly shifted series and random
weights for the frequency of hubs, relabelled neurons for the overlap of hubs.

Commands:
  `{program} model=qwen0.5b data=mmlu layers=middle`
  `{program} data.limit=20 'study.over=["data=sample data.split=questions","layers=3"]'`
      also two variants, and the overlap of hubs between all of them
  `{program} 'study.runs=[RUN,RUN]'`   also hubs of finished runs of python -m probe
"""
