"""
Rebuild the published topologies of Zheng et al. 2025 under their published names.

Question: does an independent program, one that never stores a matrix for every text, arrive at
the matrices that were published with the paper (arXiv:2506.01042)?

How: every set of texts goes through the model once and serves all matrices that are made of it:
five subjects of MMLU; the first 100 and the first 10,000 pieces of OpenWebText between the 1st and
the 99th percentile of the model's perplexity; the same 100 pieces for the randomly initialised
model. Which of the published files average r itself and which Fisher's z is not certain, so both
are built, in `mean/` and `fisher/`. The work can be stopped and goes on where it was.

Commands:
  `{program} model=qwen0.5b`
  `{program} model=qwen0.5b reference=DIR`   compares file by file with a downloaded copy
"""
