"""
Rebuild the published topologies of Zheng et al. 2025 under their published names.

Question: does an independent program, which never stores one matrix per text, reproduce the
matrices published with the paper (arXiv:2506.01042)?

How: every set of texts passes through the model once, for all matrices made from it: five subjects
of MMLU; the first 100 and the first 10,000 pieces of OpenWebText between the 1st and the 99th
percentile of the model's perplexity; the same 100 pieces for the randomly initialised model.
Whether a published file averages r or Fisher's z is uncertain, so both are built, in `mean/` and
`fisher/`. Interrupted work is resumed.

Commands:
  `{program} model=qwen0.5b`
  `{program} model=qwen0.5b reference=DIR`   also compares file by file with a downloaded copy
"""
