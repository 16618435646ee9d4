"""The public JSON of neuron graphs: which neurons have which tokens, in which role.

`{"activating": {token: ["LAYER_NEURON", …]}, "important": {token: ["LAYER_NEURON", …]}}`, as Foote
et al. 2023 publish it (github.com/apartresearch/Neuron2Graph).
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from experiments.neuron_graphs.database import create
from experiments.neuron_graphs.normalise import Vocabulary, normalised
from experiments.neuron_graphs.records import Header
from experiments.neuron_graphs.roles import ACTIVATING, CONTEXT
from experiments.neuron_graphs.store import Store
from experiments.neuron_graphs.unit import Unit
from probe.api import UserError, atomic_write

_NAMES = {ACTIVATING: "activating", CONTEXT: "important"}
_NEURON = re.compile(r"(\d{1,9})_(\d{1,9})")


def export(store: Store, file: Path) -> int:
    """Write the tokens of all units, normalised as the format has them; it has no place for signs.

    Returns
    -------
    int
        Units of negative activations, which are left out.
    """
    tables: dict[str, dict[str, set[Unit]]] = {name: defaultdict(set) for name in _NAMES.values()}
    units, labels = store.numbered(), store.vocabulary.labels
    for role, name in _NAMES.items():
        for token, number in store.rows("SELECT token, unit FROM postings WHERE role = ?", (role,)):
            if units[number].sign > 0:
                tables[name][normalised(labels[token], "title_strip")].add(units[number])
    content = {
        name: {
            token: [f"{unit.layer}_{unit.neuron}" for unit in sorted(table[token])]
            for token in sorted(table)
        }
        for name, table in tables.items()
    }
    with atomic_write(file) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return sum(unit.sign < 0 for unit in units.values())


def read(file: Path) -> Store:
    """Read a public file as a store in memory, which has tokens and units, but no graphs.

    Raises
    ------
    UserError
        If the file is no such JSON.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _wrong(file, f"it cannot be read: {error}") from None
    rows = list(_rows(file, content))
    tokens = {token: number for number, token in enumerate(sorted({row[0] for row in rows}))}
    numbers = {unit: number for number, unit in enumerate(sorted({row[2] for row in rows}), 1)}
    vocabulary = Vocabulary(tuple(tokens), np.arange(len(tokens), dtype=np.int32))
    header = Header(
        file.stem, "unknown", "unknown", "mlp", "paper_code", "title_strip", 0.5, "unknown"
    )
    connection = create(header, vocabulary)
    with connection:
        connection.executemany(
            "INSERT INTO units (id, layer, neuron, sign, reason, largest, quantiles) "
            "VALUES (?, ?, ?, ?, 'public file', 0, x'')",
            [(number, unit.layer, unit.neuron, unit.sign) for unit, number in numbers.items()],
        )
        connection.executemany(
            "INSERT OR IGNORE INTO postings (token, role, unit) VALUES (?, ?, ?)",
            [(tokens[token], role, numbers[unit]) for token, role, unit in rows],
        )
    return Store(connection, file)


def _rows(file: Path, content: Any) -> Iterator[tuple[str, str, Unit]]:
    if not isinstance(content, dict) or content.keys() != set(_NAMES.values()):
        raise _wrong(file, "it has not the two keys activating and important")
    for role, name in _NAMES.items():
        if not isinstance(content[name], dict):
            raise _wrong(file, f"{name} is no object of tokens")
        for token, neurons in content[name].items():
            if not isinstance(neurons, list):
                raise _wrong(file, f"{name} has no list of neurons for {token!r}")
            for neuron in neurons:
                found = _NEURON.fullmatch(neuron) if isinstance(neuron, str) else None
                if found is None:
                    raise _wrong(file, f"{neuron!r} is no neuron such as 3_17")
                yield token, role, Unit(int(found[1]), int(found[2]))


def _wrong(file: Path, why: str) -> UserError:
    return UserError(
        f"{file} is no public file of neuron graphs ({why}); give the folder of a study, or a JSON "
        "file with activating and important tokens"
    )
