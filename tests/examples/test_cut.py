"""What a text is cut into: every window has the special tokens, a truncated text the first ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing

from probe import pipeline
from probe.config import Config, Cut, DataConfig
from probe.data import Document, load_documents
from probe.errors import UserError
from probe.examples.choose import Examples, choose_examples
from probe.examples.cut import Special, cut_identity
from tests.config.compositions import composed
from tests.tiny_models import LINES, tiny_tokenizer

BEGIN, END = 900, 901


class Words:
    """A tokenizer of numbers that puts special tokens around a text."""

    def __init__(self, before: Sequence[int], behind: Sequence[int]) -> None:
        self.before, self.behind = [*before], [*behind]

    def __call__(self, texts: Sequence[str], *, add_special_tokens: bool, **_: Any) -> Any:
        around = (self.before, self.behind) if add_special_tokens else ([], [])
        rows = [[*around[0], *map(int, text.split()), *around[1]] for text in texts]
        return {"input_ids": rows}


def choose(tokenizer: Any, texts: Sequence[str], context: int = 1000, **data: Any) -> Examples:
    documents = [Document(f"d{i}", text) for i, text in enumerate(texts)]
    config = Config(data=DataConfig(**({"source": "text", "min_tokens": 2} | data)))
    return choose_examples(documents, tokenizer, config, context)


@pytest.mark.parametrize("before", [[], [BEGIN], [BEGIN, BEGIN]])
@pytest.mark.parametrize("behind", [[], [END]])
@pytest.mark.parametrize("window", [5, 6, 20])
@pytest.mark.parametrize("n", [2, 7, 19, 23])
def test_every_window_has_the_special_tokens(
    before: list[int], behind: list[int], window: int, n: int
) -> None:
    numbers = list(range(1, n + 1))
    text = " ".join(map(str, numbers))
    chosen = choose(Words(before, behind), [text], cut=Cut.tokens, window=window).chosen
    room = window - len(before) - len(behind)
    if n + len(before) + len(behind) <= window:
        room = n
    bodies = [numbers[start : start + room] for start in range(0, n, room)]
    expected = [[*before, *body, *behind] for body in bodies]
    assert [one.ids for one in chosen] == [ids for ids in expected if len(ids) >= 2]
    assert Special.of(Words(before, behind)) == Special(before, behind)


def test_windows_without_special_tokens_are_those_of_before() -> None:
    text = " ".join(map(str, range(23)))
    chosen = choose(
        Words([BEGIN], []), [text], cut=Cut.tokens, window=5, special_tokens=False
    ).chosen
    assert [one.ids for one in chosen] == [list(range(i, min(i + 5, 23))) for i in range(0, 23, 5)]


def test_a_window_that_special_tokens_fill_is_refused() -> None:
    with pytest.raises(UserError, match=r"^data\.window=2 has no room for text beside the 2 "):
        choose(Words([BEGIN], [END]), ["1 2 3"], cut=Cut.tokens, window=2)


def test_a_long_text_is_truncated_to_the_context(caplog: pytest.LogCaptureFixture) -> None:
    texts = ["1 2 3", "1 2 3 4 5 6 7 8 9", "1 2 3 4"]
    with caplog.at_level("INFO"):
        examples = choose(Words([BEGIN], [END]), texts, context=6, cut=Cut.truncate)
    assert [one.ids for one in examples.chosen] == [
        [BEGIN, 1, 2, 3, END], [BEGIN, 1, 2, 3, 4, END], [BEGIN, 1, 2, 3, 4, END],
    ]  # fmt: skip
    assert examples.skipped == {}
    assert "1 text truncated to 6 tokens" in caplog.text
    shorter = choose(Words([], []), texts, context=6, cut=Cut.truncate, max_tokens=4)
    assert [len(one.ids) for one in shorter.chosen] == [3, 4, 4]


def test_the_special_tokens_of_a_real_tokenizer_are_found() -> None:
    tokenizer = tiny_tokenizer()
    ids = tokenizer(LINES[0], add_special_tokens=False).input_ids
    assert Special.of(tokenizer).strip(tokenizer(LINES[0]).input_ids) == ids
    start, end = (tokenizer.convert_ids_to_tokens(one) for one in (0, 1))
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, 0), (end, 1)]
    )
    assert Special.of(tokenizer) == Special([0], [1])
    assert Special.of(tokenizer).named(tokenizer) == f"begins with {start} and ends with {end}"


@pytest.mark.parametrize("context", [512, 300])
def test_the_bundled_text_fits_a_short_context(
    context: int, caplog: pytest.LogCaptureFixture
) -> None:
    config = composed("data.limit=3")
    documents = load_documents(config)
    with caplog.at_level("INFO"):
        examples = choose_examples(documents, tiny_tokenizer(), config, context)
    assert [len(one.ids) for one in examples.chosen] == [context] * 3
    assert f"the bundled texts are longer than {context} tokens: they are truncated" in caplog.text
    with pytest.raises(UserError, match=r"cut long texts with data\.cut=tokens or data\.cut=trunc"):
        choose_examples(
            documents, tiny_tokenizer(), composed(f"data.max_tokens={context}"), context
        )


@pytest.mark.parametrize(
    ("cut", "text", "specials", "expected"),
    [
        ("whole", "a\n \nb", 1, {}),
        ("truncate", "a\n \nb", 1, {}),
        ("tokens", "a", 0, {}),
        ("tokens", "a", 1, {"cut": "special tokens in every window"}),
        ("paragraphs", "a\n\nb\n\n\nc", 1, {}),
        ("paragraphs", "a\n \nb", 1, {"cut": "at blank lines of any kind"}),
        ("paragraphs", "a\r\n\r\nb", 0, {"cut": "at blank lines of any kind"}),
    ],
)
def test_only_what_is_cut_differently_is_another_run(
    cut: str, text: str, specials: int, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = Words([BEGIN] * specials, [])
    monkeypatch.setattr("probe.models.load_tokenizer", lambda _: words)
    config = Config(data=DataConfig(source="text", cut=Cut(cut)))
    monkeypatch.setattr(Words, "__call__", lambda _, texts, add_special_tokens, **__: {
        "input_ids": [[*words.before * add_special_tokens, 7] for _ in texts]
    })  # fmt: skip
    assert cut_identity(config, [Document("a", text)]) == expected


def test_rows_without_a_text_are_counted_among_what_was_left_out(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"text": "1 2 3"}\n{"text": NaN}\n{"text": ""}\n')
    config = composed("data=text", f"data.path='{file}'", "data.min_tokens=2")
    documents, fingerprints = pipeline.load(config)
    examples = choose_examples(documents, Words([], []), config, 100)
    assert (len(examples.chosen), examples.skipped) == (1, {"no text": 2})
    assert "cut" not in fingerprints
