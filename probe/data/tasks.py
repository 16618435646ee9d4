"""Short prompts on six tasks and fifteen other topics, written for probe.

The tasks are those of Nencka et al. 2023 (arXiv:2311.10898), whose prompts are not public.
"""

from pathlib import Path
from random import Random
from string import ascii_lowercase, digits

from probe.config import Config
from probe.data.document import Document
from probe.data.files import read_rows
from probe.errors import UserError, nearest

FILE = Path(__file__).resolve().parent.parent / "assets" / "tasks.jsonl"
RANDOM_STRINGS = "random_strings"
# Their tokens are about as many as those of the other prompts, three to a group.
_STRINGS, _GROUPS, _SIGNS = 60, (5, 6), (2, 5)


def load(config: Config) -> list[Document]:
    """Load the prompts of one task or topic (`data.split`), or of all."""
    prompts = [(row["subject"], row["prompt"]) for row in read_rows(FILE)]
    prompts += [(RANDOM_STRINGS, text) for text in random_strings()]
    numbers: dict[str, int] = {}
    documents = []
    for subject, text in prompts:
        numbers[subject] = numbers.get(subject, -1) + 1
        documents.append(_document(f"{subject}/{numbers[subject]}", text, subject))
    split = config.data.split
    if split == "all":
        return documents
    if split not in numbers:
        hint = nearest(split, numbers) or f"; use all, or one of {', '.join(numbers)}"
        raise UserError(f"data.split={split} is not a task or topic of data=tasks{hint}")
    return [document for document in documents if document.subject == split]


def _document(name: str, text: str, subject: str) -> Document:
    return Document(name, text, subject, turns=(("user", text),))


def random_strings() -> list[str]:
    """Draw groups of letters and digits, always the same ones.

    Examples
    --------
    >>> random_strings()[0]
    'b8r73 m6hff wj l06 qdpv 8r5'
    """
    draw = Random(0)

    def group() -> str:
        return "".join(draw.choices(ascii_lowercase + digits, k=draw.randint(*_SIGNS)))

    return [" ".join(group() for _ in range(draw.randint(*_GROUPS))) for _ in range(_STRINGS)]
