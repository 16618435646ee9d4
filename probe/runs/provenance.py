"""The versions and the commit that made a result."""

import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from probe.config import CONF

_PACKAGES = (
    "torch", "transformers", "accelerate", "tokenizers", "safetensors", "datasets", "numpy",
    "scipy", "networkit", "hydra-core", "wandb",
)  # fmt: skip


@cache  # a process keeps what it has imported
def versions() -> Mapping[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    installed = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def git_commit() -> str | None:
    """Return the commit of the clone that the program runs from, with `+` if it was modified."""
    try:
        outputs = [
            subprocess.run(
                ["git", "-C", str(CONF.parent), *command],
                capture_output=True, text=True, timeout=10, check=True,
            ).stdout.strip()
            for command in (["ls-files", "conf"], ["rev-parse", "HEAD"], ["status", "--porcelain"])
        ]  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    tracked, commit, changes = outputs
    return (commit + "+" if changes else commit) if tracked else None
