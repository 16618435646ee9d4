"""Rows of a data set on the Hugging Face Hub."""

from __future__ import annotations

from typing import Any

from probe.config import DataConfig
from probe.errors import UserError


def read_hub(data: DataConfig, files: list[str] | None = None) -> list[dict[str, Any]]:
    """Read the rows of a split, from only some files of it if wanted.

    Raises
    ------
    UserError
        If the repository, the split or the files cannot be had.
    """
    import datasets
    from huggingface_hub.errors import HfHubHTTPError

    datasets.disable_progress_bars()
    try:
        rows = datasets.load_dataset(
            data.id,
            data_files={data.split: files} if files else None,
            split=data.split,
            revision=data.revision,
        )
    except (OSError, ValueError, HfHubHTTPError, datasets.exceptions.DatasetsError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        at = f" at {data.revision}" if data.revision else ""
        raise UserError(
            f"data {data.id}{at}, split {data.split}, could not be loaded from the Hub "
            f"({reason}); check name and network, or give a local copy with data.path="
        ) from error
    listed: list[dict[str, Any]] = rows.to_list()
    return listed
