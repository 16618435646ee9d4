"""Compare topologies: entry by entry and hub by hub where neurons correspond, and by measures.

Neuron 17 of one topology is neuron 17 of another only if both are read at the same site of models
whose weights started from the same initialisation, e.g. at two steps of one training, or at two
layers of one residual stream. Otherwise neurons have no common names, and only measures that do not
depend on names are compared.

    python -m probe.compare RUN RUN ...
"""

from probe.compare.items import Item, load_items
from probe.compare.pairwise import Comparison, Pair, compare
