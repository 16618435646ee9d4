"""From rows, in a file or on the Hub, to documents."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from probe.config import DataConfig
from probe.data.document import Document, Documents, Stream
from probe.data.files import Row, read_rows, split_files
from probe.data.hub import read_hub


def origin(data: DataConfig) -> str:
    """Name the origin of the rows.

    Examples
    --------
    >>> origin(DataConfig(id="org/name", split="train"))
    'data org/name'
    """
    return data.path if data.path is not None else f"data {data.id}"


def documents_of(
    data: DataConfig, make: Callable[[Iterable[Row]], Iterator[Document]]
) -> Documents:
    """Make documents of the rows in `data.path` or on the Hub.

    Parameters
    ----------
    data : DataConfig
        The data set.
    make : callable
        Makes documents of rows.

    Returns
    -------
    list of Document or Stream
        A stream if `data.streaming`; its rows are read only as needed.

    Raises
    ------
    UserError
        If the rows cannot be loaded or are invalid.
    """
    if data.path is not None:
        files = split_files(Path(data.path), data.split, data.config)
        return list(make(row for file in files for row in read_rows(file)))
    read, commit = read_hub(data)
    if data.streaming:
        return Stream(lambda: make(read()), f"{data.id} at commit {commit}")
    return list(make(tqdm(read(), "read", disable=None, leave=False, delay=2)))
