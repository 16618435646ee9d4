"""A run of W&B's, opened, filled and closed whatever happens, and the media that it takes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from probe.config import Mode, TrackingConfig

logger = logging.getLogger(__name__)
# Longer than a login takes; W&B's own limit would hold a run up for minutes.
_TIMEOUT = 15


def write(
    tracking: TrackingConfig, folder: Path, about: dict[str, Any], log: Callable[[Any], None]
) -> str | None:
    """Open a run of W&B's, log to it and close it; whatever goes wrong is one warning.

    Parameters
    ----------
    tracking : TrackingConfig
        Whether and where to.
    folder : Path
        Where the run is kept offline, under `wandb/`.
    about : dict
        Name, group, job type, tags and config of the run.
    log : callable
        Called with the open run.

    Returns
    -------
    str or None
        Where the run is: an address, a folder, or nothing.
    """
    if not tracking.enabled:
        return None
    if "wandb" not in sys.modules:
        # W&B's background process of whoever started this one: it may have ended since, or be on
        # another machine (SLURM hands the environment on), and then W&B fails. It gets its own.
        os.environ.pop("WANDB_SERVICE", None)
    try:
        import wandb
    except ImportError:
        logger.warning("W&B is not installed; install wandb, or give tracking=none")
        return None
    if os.environ.get("WANDB_MODE") == "disabled":
        return None
    os.environ.setdefault("WANDB_SILENT", "true")
    writer = None
    try:
        mode = _mode(tracking)
        writer = wandb.init(
            **about,
            project=tracking.project,
            entity=tracking.entity,
            dir=folder.resolve(),  # W&B's background process may have started in another folder
            mode=mode,
            reinit="create_new",  # a notebook's own run is not this one
            settings=wandb.Settings(console="off", init_timeout=_TIMEOUT, silent=True),
        )
        log(writer)
        where = str(writer.url) if mode == "online" else _shown(Path(writer.dir).parent)
        writer.finish()
    except Exception as error:  # noqa: BLE001 - the results are on disk, whatever happens here
        logger.warning("W&B was given up (%s); the results on disk are whole", error)
        if writer is not None:
            with suppress(Exception):
                writer.finish(exit_code=1)
        return None
    return where


def _shown(path: Path) -> str:
    """Word a path as the other results are: from the working folder, where it is in there."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _mode(tracking: TrackingConfig) -> Literal["online", "offline"]:
    """Online where there is a login that works; never a question, never a long wait."""
    import wandb

    if tracking.mode is Mode.online:
        return "online"
    if tracking.mode is Mode.offline or os.environ.get("WANDB_MODE", "online") != "online":
        return "offline"
    try:
        return "online" if wandb.login(prompt=False, timeout=_TIMEOUT) else "offline"
    except Exception as error:  # noqa: BLE001 - no login and no network raise many kinds
        logger.warning("W&B cannot be reached (%s); the run is kept offline", error)
        return "offline"


def tags(*names: str | None) -> list[str]:
    """Make tags that W&B takes: it refuses those of more than 64 letters, and empty ones."""
    return [name[:64] for name in names if name]


def images(files: Mapping[str, Path]) -> dict[str, Any]:
    """Make images of figures, by name."""
    import wandb

    return {f"figures/{name}": wandb.Image(str(file), caption=name) for name, file in files.items()}


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """Make a table."""
    import wandb

    return wandb.Table(columns=list(columns), data=[list(row) for row in rows])


def curves_over_layers(writer: Any) -> None:
    """Let everything below `layers/` draw itself over `layer`."""
    writer.define_metric("layer", hidden=True)
    writer.define_metric("layers/*", step_metric="layer")
