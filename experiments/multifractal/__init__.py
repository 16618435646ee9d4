"""
Measure how regular and how heterogeneous a model's weights are, over checkpoints.

Question: does the multifractal "degree of emergence" of the weights (Xiao et al. 2025,
arXiv:2402.09099) say more than the number of training steps?
"""
