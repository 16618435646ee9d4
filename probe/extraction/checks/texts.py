"""The texts that are checked: the beginnings of a run's first two, of unequal length."""

from heapq import nsmallest

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
    texts = (
        (member, ids)
        for batch in request.batches
        for member, ids in zip(batch.members, batch.ids, strict=True)
    )
    first, *second = (list(ids[:TOKENS]) for _, ids in nsmallest(2, texts, lambda text: text[0]))
    most = 3 * len(first) // 4
    long, short = first, second[0][:most] if second else first[len(first) - most :]
    if len(short) < _LEAST:
        return None
    return Batch([0, 1], [long, short])
