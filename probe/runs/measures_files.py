"""The measures of a run, written and read; and the table of tokens with an outlying norm."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from probe.errors import UserError
from probe.runs.facts import Facts
from probe.runs.manifest import read_manifest
from probe.system.files import atomic_write
from probe.system.tables import write_csv
from probe.topology import Topology

if TYPE_CHECKING:
    from probe.measures import Measures

MEASURES, TABLE, TOKENS = "measures.json", "measures_by_layer.csv", "outlier_tokens.csv"
_NO_NORMS: dict[str, float | None] = dict.fromkeys(
    ("first_token_norm", "largest_norm", "tokens_above")
)
logger = logging.getLogger(__name__)
Number = TypeVar("Number", float, float | None)
KEY = "measures_definition"  # in the manifest
_PLACE = ("topology", "layer", "part")


def write_measures(run: Path, measured: Sequence[tuple[Topology, Measures]], facts: Facts) -> None:
    """Write both files, with the tokens' norms of every layer in the table, and these tokens."""
    norms = _norms(facts)
    with atomic_write(run / MEASURES) as unfinished:
        summary = {topology.name: asdict(measures) for topology, measures in measured}
        unfinished.write_text(json.dumps(summary, indent=1) + "\n")
    rows = [
        {
            "topology": topology.name,
            "layer": topology.layer,
            "part": topology.part,
            **measures.numbers(),
            **norms.get(topology.layer, _NO_NORMS),
        }
        for topology, measures in measured
    ]
    write_csv(run / TABLE, rows)
    if tokens := outlier_tokens(facts.token_norms):
        write_csv(run / TOKENS, tokens)


def _norms(facts: Facts) -> dict[int | None, dict[str, float | None]]:
    """Return the columns of the tokens' norms, by layer."""
    first = dict(zip(facts.layers, facts.first_token_norm or [], strict=False))
    norms: dict[int | None, dict[str, float | None]] = {
        layer: _NO_NORMS | {"first_token_norm": norm} for layer, norm in first.items()
    }
    for one in (facts.token_norms or {"layers": []})["layers"]:
        norms[one["layer"]] = {
            "first_token_norm": first.get(one["layer"]),
            "largest_norm": one["largest"],
            "tokens_above": float(one["tokens_above"]),
        }
    return norms


def outlier_tokens(norms: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return a row for each of the tokens with an outlying norm, layer by layer.

    Parameters
    ----------
    norms : mapping, optional
        Of `Facts.token_norms`.
    """
    return [
        {"layer": layer["layer"], "token": token, "text": text, "count": n, "largest_norm": largest}
        for layer in (norms or {"layers": []})["layers"]
        for token, text, n, largest in layer["tokens"]
    ]


def read_measures(run: Path) -> dict[str, Any]:
    """Read `measures.json`: what `dataclasses.asdict` made of the measures, by topology.

    Raises
    ------
    UserError
        If it is missing or corrupt.
    """
    try:
        content = json.loads((run / MEASURES).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _missing(run, MEASURES) from None
    except (OSError, ValueError) as error:
        raise _corrupt(run / MEASURES, error) from None
    if not isinstance(content, dict):
        raise _corrupt(run / MEASURES, "no JSON object")
    return content


def read_numbers(run: Path) -> dict[str, dict[str, float]]:
    """Read the measures of a finished run that are single numbers, by topology and name.

    Raises
    ------
    UserError
        If the table of them is missing or corrupt.
    """
    try:
        with (run / TABLE).open(newline="", encoding="utf-8") as file:
            return {
                row["topology"]: {k: float(v) for k, v in row.items() if k not in _PLACE and v}
                for row in csv.DictReader(file)
            }
    except FileNotFoundError:
        raise _missing(run, TABLE) from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _corrupt(run / TABLE, error) from None


def defined_alike(
    runs: Sequence[Path], numbers: Sequence[dict[str, Number]]
) -> list[dict[str, Number]]:
    """Leave out measures that runs of an earlier version define otherwise than the others.

    Parameters
    ----------
    runs : sequence of Path
        The folder that each of the numbers is from.
    numbers : sequence of dict
        Measures by name, of one topology each.
    """
    definitions = {run: measures_definition(read_manifest(run)) for run in dict.fromkeys(runs)}
    older = [run for run, one in definitions.items() if one < max(definitions.values())]
    if not older:
        return list(numbers)
    logger.warning(
        "communities and rewired graphs of %s are by an earlier definition and left out; the same "
        "command as then measures its matrices again", ", ".join(map(str, older)),
    )  # fmt: skip
    return [
        {name: value for name, value in row.items() if not _redefined(name)}
        if run in older
        else row
        for run, row in zip(runs, numbers, strict=True)
    ]


def measures_definition(manifest: Mapping[str, Any]) -> int:
    """Return by which definition a run's measures are; earlier versions did not write it down."""
    return int(manifest.get(KEY, 1))


def _redefined(name: str) -> bool:
    from probe.measures import REDEFINED

    return name.partition("_at_")[0] in REDEFINED


def _missing(run: Path, name: str) -> UserError:
    return UserError(f"{run} lacks {name}; do the run again with overwrite=true")


def _corrupt(file: Path, why: object) -> UserError:
    return UserError(f"{file} is corrupt ({why}); do the run again with overwrite=true")
