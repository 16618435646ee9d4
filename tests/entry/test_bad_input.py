"""What a user can hand over by mistake, each with its answer in one line."""

import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load_file, save_file

from probe import api
from probe.config import (
    Config,
    DataConfig,
    InitConfig,
    ModelConfig,
    Selection,
    check,
    layers_name,
    run_folder,
)
from probe.data import Document, load_documents
from probe.data.files import split_files
from probe.errors import UserError
from probe.examples.plan import plan_extraction
from probe.extraction.perplexity import perplexities
from probe.models import model_fingerprint
from tests.config.compositions import TEXT as FILE
from tests.config.compositions import composed
from tests.config.test_config_checks import with_values
from tests.tiny_models import LINES, save_tiny, tiny_tokenizer

prepare = partial(plan_extraction, score=perplexities)

TEXT = "The quick brown fox jumps over the lazy dog, and then it runs on. " * 2
Break = Callable[[Path], object]


def refused(call: Callable[[], object], pattern: str) -> None:
    """Check that a call is refused in one line that says this."""
    with pytest.raises(UserError) as raised:
        call()
    message = str(raised.value)
    assert re.search(pattern, message), message
    assert len(message.splitlines()) == 1


# Files: name, content, what is said. `None` for what is read after all.
FILES: list[tuple[str, bytes, str | None]] = [
    ("a.txt", b"", "data=a has no non-empty text"),
    ("a.txt", " \n\t\u00a0\u2003\n".encode(), "data=a has no non-empty text"),
    ("a.txt", TEXT.encode("utf-16"), r"is not UTF-8 text \(zero byte at byte 3\)"),
    ("a.txt", TEXT.encode("utf-16-le"), r"is not UTF-8 text \(zero byte at byte 1\)"),
    ("a.txt", b"\x7fELF\x02\x01\0\0", r"is not UTF-8 text \(zero byte at byte 6\)"),
    ("a.txt", b"caf\xe9 au lait", r"is not UTF-8 text \(invalid continuation byte at byte 3\)"),
    ("a.csv", b"PK\x03\x04\xff\xfe", "is not UTF-8 text"),
    ("a.parquet", b"", "is not a parquet file: .*size is 0 bytes"),
    ("a.parquet", b"PAR1" + b"\7" * 500 + b"PAR1", "is not a parquet file"),
    (
        "a.jsonl",
        b'{"text": "a"}\n{"text": "b\n',
        "line 2 is not JSON: Untermin.* at column 10",
    ),
    ("a.jsonl", b'[\n {"text": "a"}\n]', "line 1 is not JSON: Expecting value at column 2"),
    ("a.jsonl", b'{"text": ' + b"[" * 9**5 + b"}", "line 1 has JSON that cannot be read"),
    ("a.jsonl", b'{"text": ' + b"9" * 5000 + b"}", "line 1 has JSON that cannot be read"),
    ("a.jsonl", b'{"text": NaN}', "data=a has no non-empty text$"),
    ("a.csv", b"text,text\none,two\n", "has the column 'text' twice; rename one"),
    ("a.csv", b"id,text\n1,one, two\n", "line 2 has 3 cells and the header 2; quote cells that"),
    ("a.csv", b"id,text\n1,one\n2\n", "line 3 has 1 cells and the header 2"),
    ("a.csv", b'id,text\n1,"one\n2,two\n', "line 3 is not valid csv: unexpected end of data"),
    ("a.csv", b"id;txt\n1;one\n", r"no column 'text' in row 1; did you mean 'txt'\?"),
    ("a.csv", b"text\n", "data=a has no non-empty text"),
    ("a.csv", b"text,\r\none,\r\n\r\ntwo,,\r\n", None),
    ("a.csv", b"\xef\xbb\xbftext\rone\rtwo\r", None),
    ("a.jsonl", b'\xef\xbb\xbf{"text": "one"}\r\n\r\n{"text": null}\r\n{"text": "two"}\r\n', None),
]


@pytest.mark.parametrize(("name", "content", "says"), FILES)
def test_a_file_is_read_or_answered_in_one_line(
    name: str, content: bytes, says: str | None, tmp_path: Path
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    config = Config(data=DataConfig(source="text", path=str(file)))
    if says is None:
        assert [document.text for document in load_documents(config)] == ["one", "two"]
    else:
        refused(lambda: load_documents(config), says)


def _link_to_memory(file: Path) -> None:
    file.symlink_to("/proc/self/mem")  # a file that cannot be read, by root neither


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Path.mkdir, r"a\.txt has no file of \.txt, \.jsonl, .*; give another folder or pattern"),
        (os.mkfifo, r"a\.txt is not a regular file"),
        (lambda file: None, r"a\.txt does not exist"),
        (_link_to_memory, r"a\.txt cannot be read \(Input/output error\)"),
    ],
    ids=["folder", "pipe", "nothing", "unreadable"],
)
def test_what_is_no_file_is_not_waited_for(make: Break, says: str, tmp_path: Path) -> None:
    make(tmp_path / "a.txt")
    config = Config(data=DataConfig(source="text", path=str(tmp_path / "a.txt")))
    refused(lambda: load_documents(config), says)


@pytest.mark.parametrize("split", ["/abs", "**x", "a/**b"])
def test_a_split_that_is_no_part_of_a_files_name_finds_no_file(split: str, tmp_path: Path) -> None:
    refused(lambda: split_files(tmp_path, split, None), "for data.split=")


def test_a_page_of_parquet_that_does_not_fit_its_checksum_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    table = pyarrow.table({"text": [TEXT]})
    pyarrow.parquet.write_table(
        table,
        file,
        compression="none",
        use_dictionary=False,
        write_page_checksum=True,
        write_statistics=False,
    )
    content = file.read_bytes()
    file.write_bytes(content.replace(b"quick", b"quack", 1))
    config = Config(data=DataConfig(source="text", path=str(file)))
    refused(lambda: load_documents(config), "is not a parquet file: .*CRC")


def test_texts_that_the_model_cannot_read_whole_are_counted_and_the_cure_is_named() -> None:
    config = composed("data=text", f"data.path='{FILE}'")
    words = "data.cut=tokens"
    refused(lambda: prepare(config, [Document("a", TEXT * 100)]), f"had more than 1024.*{words}")
    refused(
        lambda: prepare(config, [Document("a", "a"), Document("b", "b")]), "2 had fewer than 16"
    )
    _, examples = prepare(config, [Document("a", TEXT * 100), Document("b", TEXT)])
    assert examples.skipped == {"more than 1024 tokens": 1}


VALUES: list[tuple[dict[str, Any], str]] = [
    ({"output": ""}, "^output is empty; give it a value, or leave it out$"),
    ({"model.path": " "}, "^model.path is empty"),
    ({"tracking.tags": ["a", ""]}, "^tracking.tags is empty"),
    ({"output": "a\0b"}, r"^output='a\\x00b' contains a character that is not text"),
    ({"runtime.device": "cpu\n"}, "^runtime.device='cpu.n' contains a character"),
    ({"data.path": "\udcff.txt"}, "^data.path=.* contains a character"),
    ({"output": "o" * 300}, "^output is too long: it has 300 bytes"),
    ({"model.path": "a/" * 3000}, "^model.path is too long: it has 6000 bytes"),
    *(
        ({f"{part}.name": name}, f"^{part}.name='.*' cannot name a folder; .* {part}.name=mine$")
        for part in ("model", "data", "subject")
        for name in ("a/b", "../../up", "..", ".", "/abs", "a\\b")
    ),
    ({"data.id": "org/..", "data.source": "hub", "data.name": None}, "^data.name='..' cannot"),
    ({"model.name": "n" * 121}, "^model.name='n{120}' cannot name a folder; .* at most 120 bytes"),
    ({"data.name": "é" * 61}, "^data.name='é{61}' cannot name a folder"),
    ({"data.limit": 10**30}, "^data.limit=10{30} is too large; give 9007199254740992 or less$"),
    ({"data.offset": 10**30}, "^data.offset=10{30} is too large"),
    ({"data.seed": -1}, "^data.seed=-1 is too small; give 0 or more$"),
    ({"init.seed": -1}, "^init.seed=-1 is too small"),
    ({"init.seed": 10**19}, "^init.seed=10{19} is too large"),
    (
        {"launch.num_processes": 10**6},
        "^launch.num_processes=1000000 is more than this machine can run",
    ),
    (
        {"layers.selection": Selection.single, "layers.index": 10**30},
        "^layers.index=10{30} must be a layer number",
    ),
]


@pytest.mark.parametrize(("values", "says"), VALUES, ids=[str(values)[:60] for values, _ in VALUES])
def test_a_value_that_cannot_work_is_refused_before_any_work(
    values: dict[str, Any], says: str
) -> None:
    refused(lambda: check(with_values(values)), says)


def test_names_of_any_script_are_folders() -> None:
    for name in ("my data", "é😀", "日本語" * 13, "👨‍👩‍👧", "~", "-x", "'q'", "a.b"):
        config = with_values({"data.name": name, "model.name": name})
        check(config)
        assert run_folder(config).relative_to(config.output).parts[:2] == (name, name)


def test_absurd_sizes_that_mean_something_are_taken() -> None:
    for name in ("runtime.token_budget", "data.limit", "data.max_tokens", "measures.rewired"):
        check(with_values({name: 10**12}))


def test_a_folder_given_as_a_dot_has_a_name(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "texts").mkdir()
    monkeypatch.chdir(tmp_path / "texts")
    config = with_values({"data.source": "mbpp", "data.name": None, "data.path": "."})
    check(config)
    assert run_folder(config).parent.name == "texts"


def test_a_hundred_layers_have_a_short_name() -> None:
    config = with_values({"layers.selection": Selection.single, "layers.index": list(range(100))})
    check(config)
    assert layers_name(config) == "layer0to99"
    fewer = with_values({"layers.selection": Selection.single, "layers.index": [0, *range(2, 100)]})
    assert layers_name(fewer) == layers_name(config)
    assert run_folder(fewer) != run_folder(config)


def test_a_bracket_that_is_not_closed_is_said() -> None:
    refused(lambda: api.compose("layers=[1,2"), r"'layers=\[1,2'; a bracket is not closed$")


def edit(folder: Path, **values: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def scale(folder: Path, name: str, factor: float) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights[name] = weights[name] * factor
    save_file(weights, file, metadata={"format": "pt"})


def template(folder: Path, text: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = text
    tokenizer.save_pretrained(folder)


DOWN = "model.layers.1.mlp.down_proj.weight"
MODELS: dict[str, tuple[str, Break, list[str], str]] = {
    "not a number": (
        "llama", lambda m: scale(m, DOWN, float("nan")), [],
        r"example \d \(\S+\) has an activation that is not finite in layer 1;",
    ),
    "sums that overflow": (
        "llama", lambda m: scale(m, DOWN, 3e37), [],
        r"example \d \(\S+\) has an activation that is not finite in layer 1;",
    ),
    "a tokenizer too large": (
        "llama", lambda m: save_tiny("llama", m, vocab_size=50), [],
        r"example 0 \(\S+\) has the token \d+, but m has 50 tokens; use the tokenizer that bel",
    ),
    "a tokenizer too large, scored": (
        "llama", lambda m: save_tiny("llama", m, vocab_size=50), ["data.perplexity=[0,100]"],
        r"example 0 \(\S+\) has the token \d+, but m has 50",
    ),
    "no layers": ("llama", lambda m: edit(m, num_hidden_layers=0), [], "model=m has no layers"),
    "one layer": (
        "llama", lambda m: save_tiny("llama", m, num_hidden_layers=1), ["layers=cross"],
        "layers=cross joins two layers or more, but m has 1; use layers=each",
    ),
    "two texts": (
        "llama", lambda m: edit(m, model_type="t5", is_encoder_decoder=True), [],
        "model=m has an encoder and a decoder, which read two texts",
    ),
    "images": (
        "llama",
        lambda m: (m / "config.json").write_text('{"model_type": "vit", "num_hidden_layers": 2}'),
        [], "model=m has no vocabulary, so it reads no text",
    ),
    "a size that is text": (
        "llama", lambda m: edit(m, hidden_size="x"), [], "model=m: .* could not be loaded",
    ),
    "a negative size": (
        "llama", lambda m: edit(m, hidden_size=-16), [], "model=m: .* could not be loaded",
    ),
    "no heads": (
        "llama", lambda m: edit(m, num_attention_heads=0), [], "model=m: .* could not be loaded",
    ),
    "an unknown activation": (
        "llama", lambda m: edit(m, hidden_act="nope"), ["init=random"], "could not be loaded",
    ),
    "a list as config": (
        "llama", lambda m: (m / "config.json").write_text("[]"), [], "could not be loaded",
    ),
    "a list for the tokenizer": (
        "llama", lambda m: (m / "tokenizer_config.json").write_text("[]"), [],
        "model=m: .* could not be loaded",
    ),
    "no tokenizer": (
        "llama", lambda m: (m / "tokenizer.json").unlink(), [], "model=m: .*could not be loaded",
    ),
    "a template that divides by zero": (
        "llama", lambda m: template(m, "{{ 1 / 0 }}"), ["model.chat=true"],
        "the chat template of m does not accept .*division by zero.*; use model.chat=false",
    ),
    "a template that adds a number": (
        "llama", lambda m: template(m, "{{ messages + 1 }}"), ["model.chat=true"],
        "the chat template of m does not accept .*; use model.chat=false",
    ),
    "an endless template": (
        "llama", lambda m: template(m, "{% for i in range(10 ** 9) %}{% endfor %}"),
        ["model.chat=true"], "the chat template of m does not accept .*; use model.chat=false",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MODELS)
def test_a_model_that_cannot_be_read_is_answered_in_one_line(case: str, tmp_path: Path) -> None:
    architecture, spoil, words, says = MODELS[case]
    spoil(save_tiny(architecture, tmp_path / "m"))
    (tmp_path / "texts.jsonl").write_text("\n".join(json.dumps({"text": line}) for line in LINES))
    data = ["data=text", f"data.path='{tmp_path}/texts.jsonl'"]
    if "model.chat=true" in words:
        data = ["data.split=questions", "data.min_tokens=4"]
    output = tmp_path / "out"
    given = ["model=local", f"model.path='{tmp_path}/m'", *data, *words]
    refused(lambda: api.run(*given, "tracking=none", f"output='{output}'"), says)
    assert not [file for file in output.rglob("*") if file.is_file() and file.suffix != ".lock"]


def test_a_folder_in_the_place_of_the_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").mkdir()
    model = ModelConfig(path=str(tmp_path), name="m")
    refused(lambda: model_fingerprint(model, InitConfig()), "model=m: .*safetensors is not a file")


def test_earlier_results_outlive_a_later_mistake(tmp_path: Path) -> None:
    model = save_tiny("llama", tmp_path / "my model é")
    file = tmp_path / "my texts 日本.jsonl"
    file.write_text("\n".join(json.dumps({"text": line}) for line in LINES))
    words = [
        "model=local", f"model.path='{model}'", "data=text", f"data.path='{file}'",
        "tracking=none", f"output='{tmp_path}/out put 😀'", "measures.rewired=0", "layers=0",
    ]  # fmt: skip
    run = api.run(*words)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert run / "manifest.json" in before
    scale(model, "model.embed_tokens.weight", float("nan"))
    refused(lambda: api.run(*words), "was made with another model")
    refused(lambda: api.run(*words, "overwrite=true"), "not finite in layer 0")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("site", ["residual", "mlp"])
def test_one_neuron_and_one_layer_are_a_topology(site: str, tmp_path: Path) -> None:
    model = save_tiny(
        "gpt2", tmp_path / "m", hidden_size=1, num_attention_heads=1, num_hidden_layers=1
    )
    file = tmp_path / "texts.jsonl"
    file.write_text("\n".join(json.dumps({"text": line}) for line in LINES))
    [topology] = api.extract(
        "model=local", f"model.path='{model}'", "data=text", f"data.path='{file}'", "layers=0",
        f"site={site}",
    )  # fmt: skip
    assert topology.matrix.shape == ((1, 1) if site == "residual" else (40, 40))
    assert torch.from_numpy(topology.matrix).isfinite().all()


def test_a_model_whose_neurons_are_all_constant_has_zeros_and_says_so(tmp_path: Path) -> None:
    model = save_tiny("llama", tmp_path / "m")
    scale(model, "model.norm.weight", 0)
    file = tmp_path / "texts.jsonl"
    file.write_text("\n".join(json.dumps({"text": line}) for line in LINES))
    for average in ("mean", "fisher", "pooled"):
        [topology] = api.extract(
            "model=local", f"model.path='{model}'", "data=text", f"data.path='{file}'", "layers=2",
            f"average={average}",
        )  # fmt: skip
        assert not topology.matrix.any()
        assert topology.undefined == tuple(range(16))
