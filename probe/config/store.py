"""Where the configuration lives: the folder conf/ and the schema in Hydra's store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.config_store import ConfigStore

from probe.config.schema import Config, SubjectConfig
from probe.config.subjects import subject_options

_PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel conf/ lies inside the package, in a clone or an editable install beside it; a clone's
# own conf/ must win over the copy that an editable install leaves in site-packages.
CONF = _PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _PACKAGE.parent / "conf"


@contextmanager
def registered(schema: type[Config] = Config) -> Iterator[None]:
    """Store the schema and the options of `subject` for Hydra to compose with meanwhile."""
    store = ConfigStore.instance()
    before = store.repo.get("probe_schema.yaml")
    store.store(name="probe_schema", node=schema)
    if "subject" not in store.repo:
        for name, meaning in subject_options().items():
            store.store(group="subject", name=name, node=SubjectConfig(name=name, **meaning))
    try:
        yield
    finally:
        if before is not None:
            store.repo["probe_schema.yaml"] = before


def group_options() -> dict[str, list[str]]:
    """List the configuration groups with their options."""
    groups = {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in CONF.iterdir()
        if any(folder.glob("*.yaml"))
    }
    return dict(sorted((groups | {"subject": sorted(subject_options())}).items()))
