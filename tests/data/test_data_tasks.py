"""The bundled prompts are what their page promises: many, different, of like length."""

from collections import Counter, defaultdict
from itertools import combinations

import numpy as np
import pytest

from probe import api
from probe.api import Document, UserError

TASKS = {
    "political_science", "medical_imaging", "paleontology", "archeology", "pathology",
    "random_strings",
}  # fmt: skip


@pytest.fixture(scope="module")
def prompts() -> list[Document]:
    return api.documents("data=tasks")


def test_there_are_sixty_prompts_of_each_task_and_many_of_other_topics(
    prompts: list[Document],
) -> None:
    counts = Counter(prompt.subject for prompt in prompts)
    assert {subject: counts.pop(subject) for subject in TASKS} == dict.fromkeys(TASKS, 60)
    assert len(counts) >= 12
    assert sum(counts.values()) == 120
    assert len(set(counts.values())) == 1


def test_no_prompt_comes_twice_or_nearly(prompts: list[Document]) -> None:
    assert len({prompt.name for prompt in prompts}) == len(prompts)
    written = [prompt for prompt in prompts if prompt.subject != "random_strings"]
    words = [set(prompt.text.lower().replace(",", "").split()) for prompt in written]
    shared = [len(one & other) / len(one | other) for one, other in combinations(words, 2)]
    assert max(shared) < 0.4
    starts = Counter(tuple(prompt.text.split()[:2]) for prompt in prompts)
    assert max(starts.values()) <= 3


def test_prompts_are_short_and_varied_in_form(prompts: list[Document]) -> None:
    for prompt in prompts:
        text = prompt.text
        assert text == text.strip()
        assert prompt.turns == (("user", text),)
        if prompt.subject != "random_strings":
            assert 8 <= len(text.split()) <= 25
            assert text[0].isupper()
            assert text[-1] not in ".!"
    for task in TASKS - {"random_strings"}:
        questions = sum(one.text.endswith("?") for one in prompts if one.subject == task)
        assert 5 <= questions <= 15


def test_tasks_have_about_as_many_tokens_as_the_other_topics(prompts: list[Document]) -> None:
    ids = api.tokenize(texts=[prompt.text for prompt in prompts])
    lengths = defaultdict(list)
    for prompt, one in zip(prompts, ids, strict=True):
        lengths[prompt.subject if prompt.subject in TASKS else "other"].append(len(one))
    usual = np.mean(lengths.pop("other"))
    for task, own in lengths.items():
        assert 2 / 3 < np.mean(own) / usual < 3 / 2, task


def test_random_strings_are_groups_of_letters_and_digits_without_words() -> None:
    strings = api.documents("data=tasks", "data.split=random_strings")
    signs = Counter("".join(string.text for string in strings))
    assert set(signs) == set("abcdefghijklmnopqrstuvwxyz0123456789 ")
    groups = signs.pop(" ") + len(strings)
    assert max(signs.values()) < 3 * min(signs.values())
    assert groups / len(strings) == pytest.approx(5.5, abs=0.3)
    seeded = ["data.shuffle=true", "data.seed=5"]
    assert strings == api.documents("data=tasks", "data.split=random_strings", *seeded)


def test_a_split_is_a_task_or_a_topic(prompts: list[Document]) -> None:
    chess = api.documents("data=tasks", "data.split=chess")
    assert chess == [prompt for prompt in prompts if prompt.subject == "chess"]
    with pytest.raises(UserError, match=r"data\.split=chss is not a task or .*mean 'chess'"):
        api.documents("data=tasks", "data.split=chss")
    with pytest.raises(UserError, match=r"data\.split=test .*; use all, or one of political_sci"):
        api.documents("data=tasks", "data.split=test")


def test_no_prompt_is_too_short_for_a_run() -> None:
    examples = list(api.iterate("data=tasks", "layers=0", "site=embedding"))
    assert len(examples) == 480
