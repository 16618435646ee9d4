"""
Functional networks: groups of neurons that act together, found by independent component analysis.

Signals are tokens × units (a unit is a neuron of a layer). Liu et al. 2025 (arXiv:2502.20408) find
networks in a language model as neuroimaging finds them in a brain; CanICA is that of Varoquaux et
al. 2010 (doi:10.1016/j.neuroimage.2010.02.010).
"""
