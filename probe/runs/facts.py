"""What is known of an extraction beside its matrices."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any


@dataclass(frozen=True)
class Facts:
    """How an extraction went, as its manifest has it.

    What older versions did not write down is None, and stays out of the manifest.

    Attributes
    ----------
    examples, tokens : int
        Numbers of examples and of tokens that count.
    ranks : int
        Processes that extracted.
    seconds : float
        How long all sessions took, of a pass that other jobs of a sweep may share.
    layers : list of int
        Layers that were read.
    skipped : dict of str to int
        Examples left out, by the reason.
    device, threads : str, int
        What the first rank computed on: the last bits of single precision depend on it.
    padding : float
        Share of padding in all tokens that the model computed, from 0 to 1.
    out_of_memory : int
        Batches that ran out of memory and were read again in parts.
    sessions : int
        Times that the run was begun or gone on with.
    first_token_norm : list of float
        For each layer the first token's norm over the median norm, dimensionless.
    token_norms : dict
        Norms of all tokens by layer: `above`, from which ratio a token is an outlier, and of each
        of `layers` the mean ratio of the first token and of the largest, the largest of all
        (`most`), the number of outliers (`tokens_above`), their positions in the texts, and which
        tokens they are: id, text, number and largest ratio of the most frequent.
    sinks : dict
        What was `asked` with data.sinks and what was `decided`; where it was auto, the `shares` of
        the strongest tokens of the first texts that it was decided by.
    checks : dict
        What the run found of itself before it counted: hooks, batches, tokens.
    fingerprints : dict of str to str
        Which weights and which texts were read.
    hubs : dict
        What hubs are, by topology and neuron; it stands in `hubs.json`.
    """

    examples: int
    tokens: int
    ranks: int
    seconds: float
    layers: list[int]
    skipped: dict[str, int]
    device: str | None = None
    threads: int | None = None
    padding: float | None = None
    out_of_memory: int | None = None
    sessions: int | None = None
    first_token_norm: list[float] | None = None
    token_norms: dict[str, Any] | None = None
    sinks: dict[str, Any] | None = None
    checks: dict[str, Any] | None = None
    fingerprints: dict[str, str] | None = None
    hubs: dict[str, dict[int, dict[str, Any]]] | None = None

    def record(self) -> dict[str, Any]:
        """Return the facts that are known, by name, for the manifest."""
        known = asdict(replace(self, hubs=None))
        return {name: value for name, value in known.items() if value is not None}

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any]) -> "Facts":
        """Read back what `record` wrote."""
        return cls(**{f.name: manifest[f.name] for f in fields(cls) if f.name in manifest})
