"""Any words that the schema allows either make a run, inside its folder, or cost one line."""

import json
import shutil
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import event, given
from hypothesis import strategies as st

from probe import pipeline
from probe.cli import compose_job
from probe.cli.keys import Key, keys
from probe.config import Config, Sinks, group_options, run_folder
from probe.distributed import this_rank
from probe.errors import UserError
from probe.examples.request import Request
from probe.examples.sinks import with_sinks
from probe.extraction.accumulator import Accumulator
from probe.runs.folder import RunFolder
from tests.extraction.test_fuzz_sums import tries

N_NEURONS, MOST_NULLS = 5, 3
KEYS = [key for key in keys(Config) if key.name != "output"]
TEXTS = [
    f"Text {i}: " + "neurons rise and fall together, token by token. " * (i + 1) for i in range(5)
]
HOSTILE = [
    "",
    " ",
    ".",
    "..",
    "../../up",
    "/abs/olute",
    "a/b",
    "~",
    "a b",
    "é",
    "日本😀",
    "x" * 300,
    "a\nb",
    "a\0b",
    "\udcff",
    "-1",
    "0",
    "1.5",
    "1e400",
    "nan",
    "inf",
    "null",
    "???",
    "true",
    "[]",
    "[1,2",
    "{a:1}",
    "[[1]]",
    "${oc.env:HOME}",
    "${nope}",
    "${output}",
    "%s",
    "{",
    "}",
    "{0}",
    "\\",
    "'",
    '"',
    "glob(*)",
    "range(1,5)",
    "a,b",
    "010",
    "0x10",
    "1_000",
    "=",
    "@",
    "#",
    "texts.jsonl",
    "bundled/../..",
    "main",
]
NUMBERS = [-1, 0, 1, 2, 3, 7, 64, 10**12, 2**53 + 1, 2**63, 10**30]


def values_of(key: Key) -> st.SearchStrategy[str]:
    """Draw values that fit a key's type, and some that fit none."""
    kinds = get_args(key.kind) or (key.kind,)
    fitting: list[st.SearchStrategy[str]] = [st.sampled_from(HOSTILE)]
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, Enum):
            fitting.append(st.sampled_from([member.name for member in kind]))
        elif kind is bool:
            fitting.append(st.sampled_from(["true", "false"]))
        elif kind is int:
            fitting.append(st.sampled_from(NUMBERS).map(str))
        else:
            fitting.append(st.sampled_from(["text", "[0,1]", "[1,99]", "[3]", "0.1", "2", "[a,b]"]))
    return st.one_of(*fitting)


def quoted(value: str) -> str:
    """Write a value so that Hydra takes it as it is."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


@st.composite
def words(draw: st.DrawFn) -> str:
    """Draw one word of a command line."""
    if draw(st.integers(0, 3)) == 0:
        group, options = draw(st.sampled_from(sorted(group_options().items())))
        return f"{group}={draw(st.sampled_from([*options, '3', '[0,5]', '-1', 'nope']))}"
    key = draw(st.sampled_from(KEYS))
    value = draw(values_of(key))
    return f"{key.name}={quoted(value) if draw(st.booleans()) else value}"


def random_sums(_: str, payload: bytes, __: int | None, device: str) -> dict[str, torch.Tensor]:
    """Stand in for the model: sum random activations up."""
    request = Request.from_bytes(payload)
    if request.config.null.shifts > MOST_NULLS:
        raise UserError("the sums take more memory than there is")
    asked = request.config.data.sinks
    decided = Sinks.keep if asked is Sinks.auto else asked
    request = replace(request, matrices=with_sinks(request.matrices, decided))
    totals = Accumulator(request, N_NEURONS, this_rank(device).device)
    generator = torch.Generator().manual_seed(0)
    for batch in request.batches:
        config = request.config
        tensors = batch.tensors(0, config.model.padding_side, config.data.skip_first)
        for layer in request.layers:
            x = torch.randn(*tensors.keep.shape, N_NEURONS, generator=generator)
            totals.consume(batch, tensors, layer, x)
    return replace(totals.finish(), sinks={"asked": asked, "decided": decided}).to_tensors()


def write_nothing(folder: RunFolder, *_: object) -> None:
    """Stand in for measures and figures, which have tests of their own."""
    folder.close({})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder with a file of texts, and without a model."""
    monkeypatch.setattr(pipeline, "run_ranks", random_sums)
    monkeypatch.setattr(pipeline, "write", write_nothing)
    monkeypatch.setattr(
        pipeline, "perplexities", lambda chosen, _: np.linspace(2.0, 9.0, len(chosen))
    )
    folder = tmp_path / "here"
    folder.mkdir()
    lines = "".join(json.dumps({"text": text}) + "\n" for text in TEXTS)
    (folder / "texts.jsonl").write_text(lines)
    monkeypatch.chdir(folder)
    return folder


def is_local(config: Config) -> bool:
    """Whether neither the model nor the data is on the Hub."""
    model = config.model.path is None and str(config.model.id) == "bundled/tiny"
    return model and (config.data.path is not None or config.data.source in ("sample", "text"))


def run(given_words: list[str]) -> str:
    """Do what a command line says, and say how it ended."""
    base = ["model=tiny", "data=text", "data.path=texts.jsonl", "tracking=none"]
    try:
        # What is given wins, but a group that is given twice is a mistake by itself.
        names = {word.partition("=")[0] for word in given_words}
        base = [word for word in base if word.partition("=")[0] not in names]
        config = compose_job([*base, *given_words, "output=out"])
        if not is_local(config):
            return "on the Hub"
        pipeline.run(config, given_words)
    except UserError as error:
        message = str(error)
        assert len(message.splitlines()) == 1, message
        assert len(message) < 4000, message
        return "refused"
    assert (run_folder(config) / "manifest.json").is_file()
    return "done"


def check_words(folder: Path, given_words: list[str]) -> None:
    before = {*folder.parent.rglob("*")}
    event(run(given_words))
    made = {*folder.parent.rglob("*")} - before
    outside = [path for path in made if not path.is_relative_to(folder / "out")]
    assert not outside, outside
    shutil.rmtree(folder / "out", ignore_errors=True)


@pytest.mark.parametrize("examples", [12, pytest.param(60, marks=pytest.mark.campaign)])
def test_words_make_a_run_in_its_folder_or_cost_one_line(here: Path, examples: int) -> None:
    @tries(examples)
    @given(st.lists(words(), min_size=1, max_size=4))
    def check(given_words: list[str]) -> None:
        check_words(here, given_words)

    check()
