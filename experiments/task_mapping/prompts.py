"""Prompts by topic: those of every task, and those that are off for it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from experiments.task_mapping.settings import TaskMappingConfig
from probe.api import Document, UserError, data_name, documents, nearest

Numbers = NDArray[np.int64]
# The tasks of Nencka et al. 2023; the other topics of data=tasks are off for all of them.
PAPER = (
    "political_science", "medical_imaging", "paleontology", "archeology", "pathology",
    "random_strings",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Prompts:
    """Prompts with their topics.

    Attributes
    ----------
    documents : sequence of Document
        The prompts.
    topics : ndarray of str, shape (n_prompts,)
        The topic of each.
    tasks : sequence of str
        Topics that are tasks.
    """

    documents: Sequence[Document]
    topics: NDArray[np.str_]
    tasks: Sequence[str]

    def of(self, task: str) -> Numbers:
        """Return the numbers of a task's prompts."""
        return np.flatnonzero(self.topics == task)

    def off(self, task: str) -> Numbers:
        """Return the numbers of prompts that are off for a task.

        Of all topics that are no task; where every topic is one, of the other tasks.
        """
        others = np.flatnonzero(~np.isin(self.topics, self.tasks))
        return others if len(others) else np.flatnonzero(self.topics != task)

    def some(self, numbers: Numbers) -> "Prompts":
        """Return the prompts with these numbers, which count from 0 there."""
        documents = [self.documents[number] for number in numbers]
        return Prompts(documents, self.topics[numbers], self.tasks)


def read_prompts(config: TaskMappingConfig) -> Prompts:
    """Load the prompts of a configuration.

    Raises
    ------
    UserError
        If they cannot be loaded, have no topics, a task is not there, or there is one topic only.
    """
    settings, name = config.study, data_name(config.data)
    loaded = _documents(config)
    topics = [_topic(document, settings.task_column, name) for document in loaded]
    known = list(dict.fromkeys(topics))
    for task in settings.tasks:
        if task not in known:
            raise UserError(
                f"study.tasks has '{task}', which {name} lacks{_hint(task, known, 'topics')}"
            )
    if len(known) == 1:
        raise UserError(
            f"{name} has one topic only, '{known[0]}', and a task is mapped against others; give "
            "prompts of two topics or more"
        )
    usual = known if config.data.source != "tasks" else [one for one in PAPER if one in known]
    return Prompts(loaded, np.array(topics), settings.tasks or usual)


def _documents(config: TaskMappingConfig) -> list[Document]:
    try:
        loaded = documents(config)
    except UserError as error:
        if config.study.prompt_column is None:
            raise
        # The user has not typed the template, which this key has set.
        raise UserError(str(error).replace("data.template", "study.prompt_column")) from None
    if not config.model.chat:
        return loaded
    # With a chat template a prompt is what a user says.
    return [one if one.turns else replace(one, turns=(("user", one.text),)) for one in loaded]


def _topic(document: Document, column: str | None, name: str) -> str:
    if column is None:
        if document.subject is None:
            raise UserError(
                f"{name} has no subjects, which are the tasks; use data=tasks or data=mmlu, or "
                "data=table with study.task_column="
            )
        return document.subject
    if column not in document.labels:
        hint = _hint(column, list(document.labels), "columns with a value there")
        raise UserError(
            f"study.task_column names a column '{column}', which {document.name} lacks{hint}"
        )
    return str(document.labels[column])


def _hint(word: str, options: Sequence[str], what: str) -> str:
    """Suggest the option that is most alike, or list some."""
    some = ", ".join(options[:8]) + (", …" if len(options) > 8 else "")
    return nearest(word, options) or f"; its {what} are {some}"
