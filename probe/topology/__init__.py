"""The result: averaged correlation matrices, their edges and reliability. NumPy only."""

from probe.topology.sparsify import sparsify
from probe.topology.topology import (
    FOLDER,
    WITHOUT_SINKS,
    Topology,
    load_matrix,
    matrix_file,
    neuron_name,
)
