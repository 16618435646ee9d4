"""Let Hydra compose options, which takes long, once, and lay single keys over a copy."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf

from probe.cli.keys import keys
from probe.cli.text_words import parsed
from probe.config import CONF, Config, registered

# What Hydra itself needs to run something, and which takes a third of the time to compose.
_HYDRAS_OWN = [
    f"hydra/{group}"
    for group in (
        "env", "help", "hydra_help", "hydra_logging", "job_logging", "launcher", "output", "sweeper"
    )
]  # fmt: skip


def composition(
    overrides: Sequence[str],
    schema: type[Config],
    config_dir: str | None = None,
    base: Config | None = None,
) -> DictConfig:
    """Compose what the words of a single run say, unchecked; see `compose_config`.

    Raises
    ------
    HydraException, OmegaConfBaseException, YAMLError, ValueError, AssertionError
        For a mistake, whichever Hydra and OmegaConf raise for it.
    """
    known = {key.name for key in keys(schema)}
    values = {word: one for word in overrides if (one := _value(word, known)) is not None}
    options = tuple(word for word in overrides if word not in values)
    # Of nothing but keys over a configuration Hydra would make the same.
    if base is not None and all(word.startswith("~") for word in options):
        composed: DictConfig = OmegaConf.structured(base, flags={"struct": True})
    elif base is None and config_dir is None:
        composed = deepcopy(_kept(options, schema, _state_of_conf()))
    else:
        extra = [f"hydra.searchpath=[file://{Path(config_dir).resolve()}]"] if config_dir else []
        return _by_hydra([*overrides, *extra], base or schema)
    for one in (values[word] for word in overrides if word in values):
        OmegaConf.update(composed, one.get_key_element(), one.value())  # as Hydra does
    return composed


def _value(word: str, known: set[str]) -> Override | None:
    """Parse a word that sets a single key to a single value; None for any other."""
    one = parsed(word)
    plain = one is not None and one.type is OverrideType.CHANGE and not one.is_sweep_override()
    return one if plain and one is not None and one.get_key_element() in known else None


def _state_of_conf() -> tuple[tuple[str, int], ...]:
    """Return when each file of `conf/` was changed: a notebook stays while its user edits them."""
    return tuple(sorted((str(file), file.stat().st_mtime_ns) for file in CONF.rglob("*.yaml")))


def _by_hydra(words: Sequence[str], schema: type[Config] | Config) -> DictConfig:
    chosen = {word.lstrip("+~").partition("=")[0] for word in words}
    unneeded = [f"~{group}" for group in _HYDRAS_OWN if group not in chosen]
    with (
        _own_hydra(),
        registered(schema),
        initialize_config_dir(str(CONF), version_base="1.3", job_name="probe"),
    ):
        return compose("config", overrides=[*words, *unneeded])


# By words, schema and the state of `conf/`.
_kept: Callable[..., DictConfig] = lru_cache(maxsize=64)(
    lambda words, schema, _: _by_hydra(words, schema)
)


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Leave Hydra as it was: a study composes while Hydra runs it."""
    outer = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = outer
