"""Where Hydra finds the configuration: the folder conf/ and the schema in its store."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import OmegaConf

from probe.config.data import SubjectConfig
from probe.config.schema import Config
from probe.config.subjects import subject_options

_PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel conf/ is inside the package, in a clone or an editable install next to it; a clone's
# own conf/ must win over the copy that an editable install leaves in site-packages.
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


class _Store(dict[str, Any]):
    """Hydra's store, of which Hydra copies each entry as it loads it.

    It also copies the whole for every composition, which would take as long as the rest.
    """

    def __deepcopy__(self, _: object) -> "_Store":
        return self


@contextmanager
def registered(schema: type[Config] | Config = Config) -> Iterator[None]:
    """Register a schema, or a configuration to start from, and the options of `subject`."""
    store = ConfigStore.instance()
    if not isinstance(store.repo, _Store):
        store.repo = _Store(store.repo, subject=_subjects())
    entries = store.repo
    before = entries.get("probe_schema.yaml")
    node = _schema(schema) if isinstance(schema, type) else OmegaConf.structured(schema)
    entries["probe_schema.yaml"] = ConfigNode("probe_schema.yaml", node, None, None, None)
    try:
        yield
    finally:
        if before is not None:
            entries["probe_schema.yaml"] = before


_schema: Callable[[Any], Any] = cache(OmegaConf.structured)


def _subjects() -> dict[str, ConfigNode]:
    """Make the options of `subject`, which takes longer than the rest of a composition."""
    return {
        f"{name}.yaml": ConfigNode(f"{name}.yaml", node, "subject", None, None)
        for name, meaning in subject_options().items()
        for node in [OmegaConf.structured(SubjectConfig(name=name, **meaning))]
    }


def group_options() -> dict[str, list[str]]:
    """List the configuration groups and their options."""
    groups = {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in CONF.iterdir()
        if any(folder.glob("*.yaml"))
    }
    return dict(sorted((groups | {"subject": sorted(subject_options())}).items()))
