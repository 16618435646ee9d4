"""Repeat a run or a study from its manifest: `--rerun RUN`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from probe.cli import overlay
from probe.config import Config, from_plain, run_folder
from probe.errors import UserError
from probe.runs.manifest import read_manifest

PLACE = ".rerun"


def rerun_config(
    run: Path,
    words: Sequence[str],
    schema: type[Config] = Config,
    command: str = "python -m probe",
    folder: Callable[[Any], Path] = run_folder,
) -> Config:
    """Return the configuration in the manifest of a run or a study, with overrides.

    The repetition goes to `<output>/.rerun`, replaces an earlier one there, and writes no W&B run,
    unless the overrides say otherwise.

    Parameters
    ----------
    run : Path
        Folder of a finished run.
    words : sequence of str
        Overrides, as on the command line.
    schema : type
        `Config`, or that of a study.
    command : str
        The command that is to repeat it.
    folder : callable
        Returns the folder of a configuration.

    Raises
    ------
    UserError
        If the folder is not one of this program, its configuration does not work any more, or
        the repetition would replace it.
    """
    manifest = read_manifest(run, "config")
    maker = "python -m probe" if "topologies" in manifest else manifest.get("command", command)
    if maker != command:
        raise UserError(f"{run} was made by {maker}; repeat it with {maker} --rerun {run}")
    if schema is Config:
        read_manifest(run, "topologies")
    plain = {
        **manifest["config"],
        "data": _as_then(manifest, schema),
        "overwrite": True,
        "tracking": manifest["config"]["tracking"] | {"enabled": False},
    }
    try:
        config = from_plain(plain, schema)
    except UserError as error:
        raise UserError(
            f"{run} was configured for probe {manifest['probe']}, not for this version ({error}); "
            "use the version and commit in its manifest"
        ) from None
    config.output = str(_output(run.resolve(), folder(config), config.output) / PLACE)
    config = overlay(config, words)
    if folder(config).resolve() == run.resolve():
        raise UserError(
            f"the repetition would replace {run}, with which it is compared; give another folder "
            "with output="
        )
    return config


def _as_then(manifest: Mapping[str, Any], schema: type[Config]) -> dict[str, Any]:
    """Return the texts as they were read: before there was a choice, sinks were kept."""
    data: dict[str, Any] = manifest["config"]["data"]
    return data if "sinks" in data or not schema.averages else data | {"sinks": "keep"}


def _output(run: Path, named: Path, output: str) -> Path:
    """Return the folder under which a run or a study lies, as its configuration names it."""
    parts = named.relative_to(output).parts
    old_study = len(parts) != 2 and run.parent.name == parts[0] and run.name in parts[-1]
    return run.parents[1 if old_study else len(parts) - 1]
