"""Compare topologies: entry by entry and hub by hub where neurons match, and by their measures.

Two topologies can be laid over each other only if neuron 17 of the one is neuron 17 of the other:
in the same architecture, read at the same site, with weights from the same initialisation, as
along the steps of one training or along the residual stream of one model. Everything else has
neurons without a common name, and only numbers that do not depend on names are compared.

    python -m probe.compare RUN RUN ...
"""

from __future__ import annotations

from probe.compare.compare import Comparison, Pair, compare
from probe.compare.items import Item, load_items

__all__ = ["Comparison", "Item", "Pair", "compare", "load_items"]
