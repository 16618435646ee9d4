"""From the rows of a data set to its documents, wherever the rows are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from probe.config import DataConfig
from probe.data.document import Document, Documents, Stream
from probe.data.files import Row, read_rows, split_files
from probe.data.hub import read_hub


def origin(data: DataConfig) -> str:
    """Say where the rows come from.

    Examples
    --------
    >>> origin(DataConfig(id="org/name", split="train"))
    'data org/name'
    """
    return data.path if data.path is not None else f"data {data.id}"


def documents_of(
    data: DataConfig, make: Callable[[Iterable[Row]], Iterator[Document]]
) -> Documents:
    """Make documents of the rows in `data.path`, or of those on the Hub.

    Parameters
    ----------
    data : DataConfig
        The data set.
    make : callable
        Makes documents of rows, one after the other.

    Returns
    -------
    list of Document or Stream
        A stream if `data.streaming`; then no row is read that is not asked for.

    Raises
    ------
    UserError
        If the rows cannot be had or are not what they should be.
    """
    if data.path is not None:
        files = split_files(Path(data.path), data.split, data.config)
        return list(make(row for file in files for row in read_rows(file)))
    rows = read_hub(data)
    if data.streaming:
        return Stream(lambda: make(rows), f"{data.id} at commit {rows.commit}")
    return list(make(tqdm(rows, "read", disable=None, leave=False, delay=2)))
