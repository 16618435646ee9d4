"""Compose a configuration, and explain in one sentence what is wrong with it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, ValidationError
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from probe.cli.keys import keys
from probe.config import CONF, Config, check, group_options, registered
from probe.errors import UserError, causes, nearest

# What Hydra itself needs to run something, and which takes a third of the time to compose.
_HYDRAS_OWN = [
    f"hydra/{group}"
    for group in (
        "env", "help", "hydra_help", "hydra_logging", "job_logging", "launcher", "output", "sweeper"
    )
]  # fmt: skip
_NO_SUBJECTS = (
    "this data set has no subjects; leave subject= out, or use data=mmlu, mmlu_pro or sample"
)


def compose_config(
    overrides: Sequence[str],
    schema: type[Config] = Config,
    config_dir: str | None = None,
    base: Config | None = None,
) -> Config:
    """Compose the configuration of a single run, without running it.

    Parameters
    ----------
    overrides : sequence of str
        Words of the command line, layer numbers written out.
    schema : type
        `Config`, or a dataclass that adds to it.
    config_dir : str, optional
        A folder with more options.
    base : Config, optional
        Values to start from instead of the schema's defaults.

    Raises
    ------
    UserError
        For the first mistake.
    """
    extra = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
    named = {word.lstrip("+~").partition("=")[0] for word in overrides}
    extra += [f"~{group}" for group in _HYDRAS_OWN if group not in named]
    outer_state = Singleton.get_state()  # a study composes while Hydra runs it
    GlobalHydra.instance().clear()
    try:
        with (
            registered(base or schema),
            initialize_config_dir(str(CONF), version_base="1.3", job_name="probe"),
        ):
            composed = compose("config", overrides=[*overrides, *extra])
        return typed(composed, schema)
    except UserError:
        raise
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        raise UserError(_explain(error, schema)) from None
    except AssertionError:  # OmegaConf's, for a key of a part that is null
        if any(word.startswith("subject.") for word in overrides):
            raise UserError(_NO_SUBJECTS) from None
        raise
    finally:
        Singleton.set_state(outer_state)


def typed(composed: DictConfig, schema: type[Config] = Config) -> Config:
    """Turn a composed configuration into dataclasses, and check it.

    Raises
    ------
    UserError
        If a value is missing or cannot work.
    """
    missing = sorted(OmegaConf.missing_keys(composed))
    if missing:
        docs = {key.name: key.doc for key in keys(schema)}
        doc = docs.get(missing[0], "").rstrip(".")
        raise UserError(f"{missing[0]} is missing; give {missing[0]}=…  ({doc})")
    config = OmegaConf.to_object(composed)
    assert isinstance(config, schema)
    check(config)
    return config


def _explain(error: Exception, schema: type[Any]) -> str:
    chain = [*causes(error)]
    # OmegaConf's errors have causes only where something traces.
    cause = next((one for one in chain if isinstance(one, OmegaConfBaseException)), chain[-1])
    text = str(cause).strip()
    if "Could not override 'subject'" in str(error):
        return _NO_SUBJECTS
    if isinstance(error, YAMLError):
        return " ".join(str(error).split())
    first = text.splitlines()[0] if text else type(cause).__name__
    unknown = re.search(r"Key '(\w+)' not in '(\w+)'", text)
    if unknown:
        word = unknown[1]
        where = re.search(r"full_key: (\S+)", text)
        name = where[1] if where else word
        return f"unknown key '{name}'{nearest(name, [key.name for key in keys(schema)])}"
    if isinstance(cause, ValidationError) or "ValidationError" in first:
        return _wrong_value(str(error), text, schema)
    option = re.search(r"Could not find '([\w/]+)/([^'/]+)'", str(error))
    if option and option[1] == "hydra/launcher":
        return (
            f"hydra/launcher={option[2]} is not installed; pip install '.[cluster]' brings "
            "joblib, submitit_local and submitit_slurm"
        )
    if option:
        options = group_options().get(option[1], [])
        return f"{option[1]}={option[2]} is unknown{nearest(option[2], options)}"
    return first


def _wrong_value(error: str, text: str, schema: type[Any]) -> str:
    """Name the key, the value it got and the type it takes."""
    where = re.search(r"full_key: (\S+)", text)
    name = where[1] if where else ""
    value = re.search(r"[Vv]alue '([^']*)'", text)
    got = f"={value[1]}" if value else ""
    whole, of_list, _ = name.partition("[")
    for key in keys(schema):
        if of_list and key.name == whole:
            return f"{name}{got} has the wrong type for {whole} ({key.doc.rstrip('.')})"
        if key.name == name and key.choices:
            hint = nearest(value[1] if value else "", key.choices)
            return f"{name}{got} is not one of {', '.join(key.choices)}{hint}"
        if key.name == name:
            return f"{name}{got} must be {key.type_name} ({key.doc.rstrip('.')})"
    return text.splitlines()[0] if text else error
