"""Rows of a data set on the Hugging Face Hub."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from probe.config import DataConfig
from probe.data.formats import Row
from probe.errors import UserError, nearest


def read_hub(data: DataConfig) -> tuple[Callable[[], Iterator[Row]], str]:
    """Open a split without downloading other splits.

    Returns
    -------
    callable
        Starts reading; with `data.streaming` only as many rows are downloaded as needed.
    str
        The commit that they are read from, even if the branch changes meanwhile.

    Raises
    ------
    UserError
        If the repository, the configuration or the split cannot be loaded.
    """
    import datasets

    datasets.disable_progress_bars()
    with _as_user_error(data):
        builder = datasets.load_dataset_builder(
            data.id, data.config, revision=data.revision, cache_dir=str(_cache(data))
        )
        files = builder.config.data_files  # None if it comes from the cache, without the Hub
        if files is not None and data.split not in files:
            splits = [str(split) for split in files]
            hint = nearest(data.split, splits) or f"; its splits are {', '.join(splits)}"
            raise UserError(f"data {data.id} has no split '{data.split}'{hint}")
        if data.streaming and files is None:
            raise ConnectionError("the Hub cannot be reached, which data.streaming=true needs")
        if data.streaming:
            rows = builder.as_streaming_dataset(split=data.split)
        else:
            if files is not None:
                only = {data.split: files[data.split]}
                builder.config.data_files = datasets.data_files.DataFilesDict(only)
            # The card's numbers of rows are those of all splits.
            builder.download_and_prepare(verification_mode="no_checks")
            rows = builder.as_dataset(split=data.split)

    def read() -> Iterator[Row]:
        with _as_user_error(data):
            yield from rows

    return read, str(builder.hash)


def download(data: DataConfig, patterns: list[str]) -> Path:
    """Download the files of a data set that match any of the patterns; return their folder.

    Raises
    ------
    UserError
        If the repository cannot be loaded.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    with _as_user_error(data):
        folder = snapshot_download(
            str(data.id), repo_type="dataset", revision=data.revision, allow_patterns=patterns
        )
    return Path(folder)


def _cache(data: DataConfig) -> Path:
    """Return a cache folder for one split of one revision.

    `datasets` assumes that a cached data set is complete, and offline uses the latest one whatever
    its revision, so splits and revisions must not share a folder.
    """
    import datasets

    name = quote(f"{data.revision or 'main'}-{data.split}", safe="")
    return Path(datasets.config.HF_DATASETS_CACHE) / "probe" / name


@contextmanager
def _as_user_error(data: DataConfig) -> Iterator[None]:
    """Turn the libraries' errors into one that tells the user what to do."""
    from datasets.exceptions import DatasetsError
    from huggingface_hub.errors import HfHubHTTPError

    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, RuntimeError, HfHubHTTPError, DatasetsError) as error:
        # The second line may list the configurations, the third is Python code.
        reason = " ".join(str(error).strip().splitlines()[:2]).rstrip(".")
        at = f" at {data.revision}" if data.revision else ""
        part = f" {data.config}," if data.config else ""
        raise UserError(
            f"data {data.id}{at},{part} split {data.split}, could not be loaded from the Hub "
            f"({reason}); check the name and the network, or give a local copy with data.path="
        ) from error
