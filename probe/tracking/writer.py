"""Open a W&B run, log to it and close it, whatever happens; and the media that it holds."""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from probe.config import Mode, TrackingConfig
from probe.system.importing import importing

logger = logging.getLogger(__name__)
# Longer than a login takes; W&B's own limit would block for minutes.
_TIMEOUT = 15
# Letters of a name and of a tag that the service takes.
_NAME, _TAG = 128, 64


def write(
    tracking: TrackingConfig, folder: Path, about: dict[str, Any], log: Callable[[Any], None]
) -> str | None:
    """Open a W&B run, log to it and close it; any failure is one warning.

    Parameters
    ----------
    tracking : TrackingConfig
        Whether and where to log.
    folder : Path
        Folder for an offline run, under `wandb/`.
    about : dict
        Name, group, job type, tags and config.
    log : callable
        Logs to the open run, its argument.

    Returns
    -------
    str or None
        The run's URL or folder; None if nothing was logged.
    """
    if not tracking.enabled:
        return None
    if "wandb" not in sys.modules:
        # The parent's W&B service may have ended, or run on another machine (SLURM passes the
        # environment on), and then W&B fails. Without this variable it starts its own.
        os.environ.pop("WANDB_SERVICE", None)
    try:
        with importing("wandb"):
            import wandb
    except ImportError:
        logger.warning("W&B is not installed; install wandb or set tracking=none")
        return None
    if os.environ.get("WANDB_MODE") == "disabled":
        return None
    os.environ.setdefault("WANDB_SILENT", "true")
    writer = None
    about |= {name: shortened(about[name]) for name in ("name", "group") if about.get(name)}
    try:
        mode = _mode(tracking)
        writer = wandb.init(
            **about,
            project=tracking.project,
            entity=tracking.entity,
            dir=folder.resolve(),  # W&B's service may run in another folder
            mode=mode,
            reinit="create_new",  # never the notebook's own run
            settings=wandb.Settings(console="off", init_timeout=_TIMEOUT, silent=True),
        )
        log(writer)
        where = str(writer.url) if mode == "online" else _relative(Path(writer.dir).parent)
        writer.finish()
    except Exception as error:  # noqa: BLE001 - the results are already on disk
        logger.warning("logging to W&B failed (%s); the results on disk are complete", error)
        if writer is not None:
            with suppress(Exception):
                writer.finish(exit_code=1)
        return None
    return where


def _relative(path: Path) -> str:
    """Return a path relative to the working folder if it is inside, as for the other results."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _mode(tracking: TrackingConfig) -> Literal["online", "offline"]:
    """Return online if a login works, without asking and without a long wait."""
    import wandb

    if tracking.mode is Mode.online:
        return "online"
    if tracking.mode is Mode.offline or os.environ.get("WANDB_MODE", "online") != "online":
        return "offline"
    try:
        return "online" if wandb.login(prompt=False, timeout=_TIMEOUT) else "offline"
    except Exception as error:  # noqa: BLE001 - a failed login raises many kinds
        logger.warning("W&B cannot be reached (%s); the run is kept offline", error)
        return "offline"


def shortened(name: str, most: int = _NAME) -> str:
    """Shorten a name in its middle; what tells it from others is at both ends.

    Examples
    --------
    >>> shortened("a" * 10 + "-2750e006", most=16)
    'aaa...a-2750e006'
    """
    kept = most - len("...")
    return name if len(name) <= most else f"{name[: kept // 4]}...{name[-(kept - kept // 4) :]}"


def tags(*names: str | None) -> list[str]:
    """Return valid W&B tags: it rejects empty ones and those of more than 64 letters."""
    return list(dict.fromkeys(shortened(name, _TAG) for name in names if name))


def images(files: Mapping[str, Path]) -> dict[str, Any]:
    """Return W&B images of figures, by name."""
    import wandb

    return {f"figures/{name}": wandb.Image(str(file), caption=name) for name, file in files.items()}


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
    """Return a W&B table."""
    import wandb

    return wandb.Table(columns=list(columns), data=[list(row) for row in rows])


def curves_over_layers(writer: Any) -> None:
    """Plot every metric under `layers/` against `layer`."""
    writer.define_metric("layer", hidden=True)
    writer.define_metric("layers/*", step_metric="layer")
