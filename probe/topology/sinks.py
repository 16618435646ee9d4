"""Whether the tokens that rule a topology are left out of another that stands beside it."""

from collections.abc import Mapping

from probe.config import Sinks

# Above this share one token says more than all others.
_MOST = 0.5


def decided_by(shares: Mapping[str, float]) -> Sinks:
    """Decide between `both` and `keep` by the shares of the strongest tokens, by matrix.

    Examples
    --------
    >>> decided_by({"layer_0": 0.2, "layer_1": 0.9}).value, decided_by({}).value
    ('both', 'keep')
    """
    return Sinks.both if max(shares.values(), default=0.0) > _MOST else Sinks.keep
