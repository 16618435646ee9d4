"""The batches of a request once its model is checked; resuming takes over what was found."""

import json
from dataclasses import replace

from probe.examples.batches import Together, regrouped
from probe.examples.request import Request

# In a checkpoint's identity: what the session that began the run has found, as JSON.
CHECKS = "checks"
# Likewise, what it has decided of tokens that rule a topology.
SINKS = "sinks"


def as_checked(request: Request, word: str | None) -> Request:
    """Return the request with the batches that the checks allow."""
    if word is None:
        return request
    together, budget = Together(json.loads(word)["batches"]), request.config.runtime.token_budget
    return replace(request, batches=regrouped(request.batches, budget, together))
