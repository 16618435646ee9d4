"""Rows of a user's own: from a file, a folder, a pattern of files, or what `datasets` has saved."""

import logging
import re
from collections.abc import Iterator, Sequence
from glob import glob, has_magic
from itertools import takewhile
from pathlib import Path

from probe.config import DataConfig
from probe.data.formats import KINDS, Row, ending, read_file
from probe.errors import UserError, nearest
from probe.system.logs import plural

logger = logging.getLogger(__name__)
_PART = re.compile(r"-\d+-of-\d+\.parquet$")
_SPLITS = ("train", "validation", "valid", "dev", "test")


def read_rows(path: Path) -> list[Row]:
    """Read every row of a file; a .txt is one row with the column `text`.

    Raises
    ------
    UserError
        If the file does not exist, its kind is unknown, it is not UTF-8 text, or a line is invalid.
    """
    if not path.is_file():  # a named pipe would be waited for
        what = "is a folder" if path.is_dir() else "is not a regular file"
        what = what if path.exists() else "does not exist"
        raise UserError(f"{path} {what}; give a file of {KINDS}")
    return read_file(path)


def read_path(data: DataConfig) -> Iterator[tuple[str, list[Row] | Iterator[Row]]]:
    """Yield the rows in `data.path`, file by file, each with the file's name in the folder.

    Rows of a .txt have their text in `data.column`, too.

    Raises
    ------
    UserError
        If there is nothing that can be read.
    """
    path = Path(str(data.path))
    if _saved(path):
        yield path.name, _read_saved(path, data.split)
        return
    files = _files(path, data)
    folder = path if path.is_dir() else _folder(path)
    for file in files:
        rows = read_rows(file)
        if ending(file) == ".txt":
            rows = [row | {data.column: row["text"]} for row in rows]
        yield file.relative_to(folder).as_posix(), rows


def matching(folder: Path, pattern: str) -> list[Path]:
    """List the files that match a pattern; none if the pattern is invalid."""
    try:
        return sorted(folder.glob(pattern))
    except (NotImplementedError, ValueError, OSError):  # absolute, or malformed
        return []


def _folder(path: Path) -> Path:
    """Return the folder of a file, or the one below which a pattern looks."""
    if path.exists() or not has_magic(str(path)):
        return path.parent
    return Path(*takewhile(lambda part: not has_magic(part), path.parts))


def _files(path: Path, data: DataConfig) -> list[Path]:
    if path.is_dir():
        return split_files(path, data.split, data.config, data.source not in ("text", "table"))
    if path.exists() or not has_magic(str(path)):
        return [path]
    found = [Path(file) for file in sorted(glob(str(path), recursive=True))]  # noqa: PTH207 - absolute
    return _readable([file for file in found if file.is_file()], str(path))


def split_files(path: Path, split: str, config: str | None, named: bool = True) -> list[Path]:
    """Return the files of a split in a folder, or all where it has no splits.

    Parameters
    ----------
    path : Path
        A folder, laid out as on the Hub or not.
    split : str
        The split, with which the files' names begin.
    config : str, optional
        Configuration, the folder that the files may be in.
    named : bool
        Whether it is a named data set, whose files are named by their splits if it has several;
        texts of the user's own may have any names.

    Raises
    ------
    UserError
        If the folder has no file that can be read, or splits and not this one.
    """
    folders = [config, "data", "."] if config else ["data", "."]
    patterns = [f"{folder}/{split}-*.parquet".removeprefix("./") for folder in folders]
    for pattern in patterns:
        if files := matching(path, pattern):
            return files
    files = [file for file in matching(path, "**/*") if file.is_file() and not _hidden(file, path)]
    by_split = {one: [f for f in files if _is_split(f, one)] for one in {*_SPLITS, split}}
    if named and by_split[split]:
        return by_split[split]
    other_splits = named and any(by_split.values())
    if other_splits or any(_PART.search(file.name) for file in files) or (named and not files):
        raise UserError(
            f"data.path={path} has no {' or '.join(patterns)} for data.split={split}; "
            "give a file, or a folder with that layout"
        )
    return _readable(files, str(path))


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _is_split(file: Path, split: str) -> bool:
    return ending(file) is not None and re.split(r"[.-]", file.name)[0] == split


def _readable(files: Sequence[Path], where: str) -> list[Path]:
    """Leave out files of other kinds, and say so."""
    readable = [file for file in files if ending(file) is not None]
    others = [file.name for file in files if ending(file) is None]
    if not readable:
        raise UserError(f"{where} has no file of {KINDS}; give another folder or pattern")
    if others:
        logger.info("%s in %s left out, such as %s", plural(len(others), "file"), where, others[0])
    return readable


def _saved(path: Path) -> bool:
    """Whether a folder was written by `save_to_disk` of the library `datasets`."""
    one = (path / "state.json").is_file() and (path / "dataset_info.json").is_file()
    return one or (path / "dataset_dict.json").is_file()


def _read_saved(path: Path, split: str) -> Iterator[Row]:
    import datasets

    try:
        saved = datasets.load_from_disk(str(path))
        if isinstance(saved, datasets.DatasetDict):
            if split not in saved:
                hint = nearest(split, saved) or f"; its splits are {', '.join(saved)}"
                raise UserError(f"data.path={path} has no split '{split}'{hint}")
            saved = saved[split]
        yield from saved
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"data.path={path} cannot be read as a saved data set: {reason}") from None
