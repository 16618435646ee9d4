"""The texts that are checked: the beginnings of a run's first two, of unequal length."""

from probe.examples.batches import Batch
from probe.examples.request import Request

TOKENS = 64
# Correlations over fewer tokens say nothing of padding.
_LEAST = 4


def first_texts(request: Request) -> Batch | None:
    """Return a long row and a short one of at most 64 tokens, None if the texts are too short.

    The short row is at most three quarters of the long one. A run of one text gives both, the
    short one from its end.
    """
    ids = {
        member: row
        for batch in request.batches
        for member, row in zip(batch.members, batch.ids, strict=True)
    }
    members = sorted(ids)[:2]
    long = ids[members[0]][:TOKENS]
    most = 3 * len(long) // 4
    short = ids[members[1]][:most] if len(members) > 1 else long[len(long) - most :]
    if len(short) < _LEAST:
        return None
    return Batch([0, 1], [long, short])
