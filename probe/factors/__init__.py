"""Topologies of single examples, stored as factors: tokens × neurons, not neurons²."""

from probe.factors.factor import Factor
from probe.factors.graphs import Dense, Graph, Sparse, quickest
from probe.factors.store import FactorStore, StoredExample, open_factors
from probe.factors.write import write_factors
