"""All ranks read the batches that rank 0 has decided on, also after an interruption."""

import json
from pathlib import Path

import numpy as np
import pytest

from probe import api
from probe.runs.manifest import read_manifest
from tests.tiny_models import save_tiny

pytestmark = [pytest.mark.processes]


def test_two_ranks_decide_alike(tmp_path: Path) -> None:
    model = save_tiny("fnet", tmp_path / "fnet", intermediate_size=40, pad_token_id=0)
    lines = [f"The ferry left harbour {n} before the fog had lifted{'!' * n}." for n in range(9)]
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    words = [f"model.path={model}", "model=local", "data=text", f"data.path={file}"]
    words += ["layers=each", "tracking=none", "runtime.device=cpu", "measures.rewired=0"]
    runs = [
        api.run(*words, f"launch.num_processes={n}", f"output={tmp_path / str(n)}") for n in (1, 2)
    ]
    one, two = (read_manifest(run) for run in runs)
    assert one["checks"] == two["checks"]
    assert one["checks"]["batches"] == "equal"
    assert one["padding"] == two["padding"] == 0
    assert two["ranks"] == 2
    for layer in range(3):
        first, second = (api.load_topology(run, f"layer_{layer}").matrix for run in runs)
        np.testing.assert_allclose(first, second, rtol=0, atol=1e-12)
