"""WikiText: good and featured articles of Wikipedia (Merity et al. 2016, arXiv:1609.07843)."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain

from probe.config import Config
from probe.data.document import Document, Documents
from probe.data.formats import Row
from probe.data.rows import column_texts, documents_of, origin

_TITLE = re.compile(r"= (?!=).*(?<!=) =")


def load(config: Config) -> Documents:
    """Load a document from every article; a row holds one of its lines."""
    data = config.data

    def documents(rows: Iterable[Row]) -> Iterator[Document]:
        texts = column_texts(rows, data.column, origin(data))
        lines = (line for text in texts for line in text.removesuffix("\n").split("\n"))
        for number, article in enumerate(articles(lines)):
            yield Document(f"wikitext/{number}", article)

    return documents_of(data, documents)


def articles(lines: Iterable[str]) -> Iterator[str]:
    r"""Join lines into articles, with a blank line between paragraphs.

    A title is a line like ` = Robert Boulter = ` between blank lines; formulas of the same form are
    among other lines, and headings of sections have more signs.

    Parameters
    ----------
    lines : iterable of str
        A line is a paragraph, a title, a heading or blank.

    Examples
    --------
    >>> list(articles(["", " = One = ", "", " a ", " = b = ", " c ", "", " = Two = ", "", " d "]))
    ['= One =\n\na\n\n= b =\n\nc', '= Two =\n\nd']
    """
    article: list[str] = []
    before, line = "", ""
    for following in chain((text.strip() for text in lines), [""]):
        if _TITLE.fullmatch(line) and not before and not following and article:
            yield "\n\n".join(article)
            article = []
        if line:
            article.append(line)
        before, line = line, following
    if article:
        yield "\n\n".join(article)
