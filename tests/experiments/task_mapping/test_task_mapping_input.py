"""What a user can get wrong costs one line; sites, columns and tasks are those that were given."""

import csv
import logging
from pathlib import Path
from typing import Any

import pytest
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from experiments.task_mapping.experiment import prepare
from experiments.task_mapping.prompts import PAPER, read_prompts
from experiments.task_mapping.reading import within_context
from experiments.task_mapping.settings import TaskMappingConfig, at_sites, check
from probe.api import UserError
from probe.cli import compose_job
from tests.tiny_models import save_tiny

TABLE = "data=table"


def configured(*words: str) -> TaskMappingConfig:
    config = compose_job(["runtime.device=cpu", *words], TaskMappingConfig)
    assert isinstance(config, TaskMappingConfig)
    return config


def write_table(folder: Path, **prompts: list[str]) -> str:
    file = folder / "prompts.csv"
    rows = [(task, prompt) for task, listed in prompts.items() for prompt in listed]
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([("task", "prompt"), *rows])
    return f"data.path={file}"


COLUMNS = ("study.task_column=task", "study.prompt_column=prompt")
SHORT = {"a": ["one of a", "two of a"], "b": ["one of b", "two of b"]}


def test_tasks_of_a_table_are_its_values_in_order_of_appearance(tmp_path: Path) -> None:
    path = write_table(tmp_path, b=["x y"], a=["y z"], c=["z x"])
    whole = read_prompts(configured(TABLE, path, *COLUMNS))
    assert list(whole.tasks) == ["b", "a", "c"]
    assert [one.text for one in whole.documents] == ["x y", "y z", "z x"]
    assert whole.off("b").tolist() == [1, 2]
    chosen = read_prompts(configured(TABLE, path, *COLUMNS, "study.tasks=[c,a]"))
    assert list(chosen.tasks) == ["c", "a"]
    assert chosen.off("a").tolist() == chosen.off("c").tolist() == [0]


def test_a_template_may_stand_for_the_column(tmp_path: Path) -> None:
    path = write_table(tmp_path, **SHORT)
    words = (TABLE, path, "study.task_column=task", "data.template='Say {prompt}'")
    assert read_prompts(configured(*words)).documents[0].text == "Say one of a"


def test_the_bundled_tasks_are_the_papers() -> None:
    whole = read_prompts(configured("data=tasks"))
    assert tuple(whole.tasks) == PAPER
    for task in PAPER:
        assert len(whole.of(task)) >= 60
        assert len(whole.off(task)) == 120
    subjects = read_prompts(configured("data=sample"))
    assert list(subjects.tasks) == list(dict.fromkeys(subjects.topics.tolist()))


@pytest.mark.parametrize(
    ("words", "sites"),
    [
        ((), ["residual", "mlp"]),
        (("site=residual",), ["residual"]),
        (("site=attention",), ["attention"]),
        (("study.sites=[mlp_output]",), ["mlp_output"]),
    ],
)
def test_a_site_that_is_given_is_the_only_one(words: tuple[str, ...], sites: list[str]) -> None:
    each = at_sites(configured("data=tasks", *words))
    assert list(each) == sites
    assert [config.site for config in each.values()] == sites


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("study.blocks=6",),
            r"study\.blocks=6 would end with an on-block.*e\.g\. study\.blocks=7",
        ),
        (
            ("study.prompt_column=prompt",),
            r"study\.prompt_column=prompt is a column of a table, and data=tasks has its own texts",
        ),
        (("study.tasks=[pathology]",), r"study\.tasks=\['pathology'\] is one task, and networks"),
        (("study.tasks=[a,b,a]",), r"study\.tasks=.* names a task twice; name each once"),
        (
            ("study.effects=[lesion]", "study.top=0.6"),
            r"study\.top=0\.6 leaves fewer units outside a network than inside.*give 0\.5 or less",
        ),
        (
            ("study.temperature=0.5", "study.generate=false"),
            r"study\.temperature=0\.5 is for tokens that the model writes, and study\.generate=fa",
        ),
        (
            ("model.chat=true", "study.generate=false"),
            r"model\.chat=true with study\.generate=false would read the words of the chat temp",
        ),
    ],
)
def test_settings_that_cannot_work_cost_one_line(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(configured("data=tasks", *words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("study.prompt_column=prompt",), r"data=table needs the column that says which task"),
        (
            (*COLUMNS, "data.template='{task}'"),
            r"study\.prompt_column=prompt and data\.template=\{task\} are both the text of a row",
        ),
    ],
)
def test_columns_that_are_not_said_cost_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        check(configured(TABLE, write_table(tmp_path, **SHORT), *words))


@pytest.mark.parametrize(
    ("words", "rows", "message"),
    [
        (
            ("study.task_column=task", "study.prompt_column=promt"), SHORT,
            r"^study\.prompt_column names a column 'promt' that .* lacks; did you mean 'prompt'\?",
        ),
        (
            ("study.task_column=topic", "study.prompt_column=prompt"), SHORT,
            r"^study\.task_column names a column 'topic', which .* lacks; its columns with a value "
            r"there are task, prompt",
        ),
        (
            (*COLUMNS, "study.tasks=[a,quartz]"), SHORT,
            r"^study\.tasks has 'quartz', which prompts lacks; its topics are a, b$",
        ),
        (COLUMNS, {"a": ["x y", "y z"]}, r"^prompts has one topic only, 'a', and a task is mapped"),
        (COLUMNS, {"a": ["", " "], "b": [""]}, r"^data=prompts has no non-empty text"),
    ],
)  # fmt: skip
def test_tables_that_cannot_work_cost_one_line(
    words: tuple[str, ...], rows: dict[str, list[str]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        read_prompts(configured(TABLE, write_table(tmp_path, **rows), *words))


def test_empty_prompts_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        path = write_table(tmp_path, a=["x", "", "y"], b=["z"])
        whole = read_prompts(configured(TABLE, path, *COLUMNS))
    assert [one.text for one in whole.documents] == ["x", "y", "z"]
    assert "1 of 4 rows left out: an empty cell" in caplog.text


def test_repeated_prompts_are_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Scans that share no prompt by number would share its words."""
    path = write_table(tmp_path, a=["x y", "y z", "x y "], b=["z x", "y z"])
    whole = read_prompts(configured(TABLE, path, *COLUMNS))
    assert [one.text for one in whole.documents] == ["x y", "y z", "z x"]
    assert whole.topics.tolist() == ["a", "a", "b"]
    assert "2 of 5 prompts are left out, as an earlier one has the same words" in caplog.text


def test_texts_without_subjects_cost_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("one line of text\n")
    config = configured("data=text", f"data.path={tmp_path / 'text.txt'}")
    with pytest.raises(UserError, match=r"^text has no subjects, which are the tasks; use data=ta"):
        read_prompts(config)


SCAN = ("study.blocks=3", "study.prompts=3", "study.scans=2", "study.tokens=3")


def prompts_of(each: int, **more: Any) -> dict[str, list[str]]:
    rows = {name: [f"{name} {number} and more" for number in range(each)] for name in "abcd"}
    return rows | more


def test_prompts_beyond_the_context_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    long = [f"{n} " + "word " * 1200 for n in range(6)]
    path = write_table(tmp_path, **prompts_of(20, a=[*long[:1], *prompts_of(19)["a"]]))
    given = configured(TABLE, path, *COLUMNS)
    with caplog.at_level(logging.WARNING):
        left = within_context(given, read_prompts(given))
    assert [len(left.of(name)) for name in "abcd"] == [19, 20, 20, 20]
    told = "1 of 80 prompts are left out: a prompt with 8 tokens behind it is beyond the model's"
    assert told in caplog.text
    path = write_table(tmp_path, **{name: [f"{name}{one}" for one in long] for name in "ab"})
    message = r"^every prompt with 3 tokens behind it is beyond the model's context: the shortest"
    with pytest.raises(UserError, match=message):
        prepare(configured(TABLE, path, *COLUMNS, *SCAN, f"output={tmp_path}"))


def test_scans_too_small_for_their_regressors_cost_one_line_before_anything_is_read() -> None:
    message = (
        r"^study\.blocks=3 blocks of study\.prompts=2 are 6 prompts, and up to 8 regressors, those "
        r"of token classes among them, need more; give more blocks, or more prompts a block$"
    )
    words = ("study.blocks=3", "study.prompts=2", "study.nuisance=[length,token_class]")
    with pytest.raises(UserError, match=message):
        prepare(configured("data=tasks", *words))


def test_special_tokens_behind_prompts_cost_one_line(tmp_path: Path) -> None:
    """As BERT's tokenizer has them: they would be averaged as if they were the prompt's."""
    folder = save_tiny("bert", tmp_path / "bert")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    begin, end = tokenizer.convert_ids_to_tokens([0, 1])
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, 0), (end, 1)]
    )
    tokenizer.save_pretrained(folder)
    path = write_table(tmp_path, **prompts_of(6))
    words = (TABLE, path, *COLUMNS, *SCAN[:3], "study.generate=false", f"output={tmp_path}")
    words = (*words, "model=local", f"model.path={folder}")
    with pytest.raises(
        UserError, match=r"^the tokenizer of .* behind every prompt, which is no to"
    ):
        prepare(configured(*words))
    texts = prepare(configured(*words, "data.special_tokens=false")).texts
    for document, ids in zip(texts.documents, texts.ids, strict=True):
        assert tokenizer.decode(ids) == document.text


def test_a_model_that_continues_nothing_costs_one_line(tmp_path: Path) -> None:
    save_tiny("bert", tmp_path / "bert")
    path = write_table(tmp_path, **prompts_of(6))
    model = ("model=local", f"model.path={tmp_path / 'bert'}")
    with pytest.raises(UserError, match=r"so it continues no text; .* or give study\.generate=fa"):
        prepare(configured(TABLE, path, *model, *COLUMNS, *SCAN, f"output={tmp_path}"))


def test_a_model_without_a_head_costs_one_line(tmp_path: Path) -> None:
    from transformers import AutoModel

    folder = save_tiny("gpt2", tmp_path / "headless", tie_word_embeddings=False)
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    path = write_table(tmp_path, **prompts_of(6))
    model = ("model=local", f"model.path={folder}")
    with pytest.raises(UserError, match=r"has no language-model head .* or give study\.generate=f"):
        prepare(configured(TABLE, path, *model, *COLUMNS, *SCAN, f"output={tmp_path}"))
