"""What identifies a model's weights and its chat template, for results that are found again."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from probe.config import InitConfig, InitKind, ModelConfig
from probe.errors import UserError
from probe.models.place import Place
from probe.system.kept import keep, recall


def model_fingerprint(model: ModelConfig, init: InitConfig) -> str:
    """Identify a run's weights: the Hub's commit, or a hash over a local folder's files.

    Random weights depend only on the configuration, so only it is hashed. An adapter that is merged
    into the weights is named, with its own hash.
    """
    place = Place.of(model)
    found = _of_files(place, init)
    if place.adapter is not None and init.kind is InitKind.pretrained:
        found = f"{found}, {place.adapter.fingerprint}"
    return found


def _of_files(place: Place, init: InitConfig) -> str:
    if place.gguf is not None:
        return _hashed("fingerprint of a GGUF file", [place.gguf], _hash)
    if not Path(place.where).is_dir():
        place.config()  # the cache names a snapshot's folder by its commit
        revision = place.options.get("revision")
        cached = try_to_load_from_cache(place.where, "config.json", revision=revision)
        assert isinstance(cached, str), f"{place.where} was loaded but is not in the cache"
        return f"commit {Path(cached).parent.name}"
    patterns = ["*.json", "*.model", "*.txt"]
    if init.kind is InitKind.pretrained:
        patterns += ["*.safetensors", "*.bin"]
    files = sorted({file for p in patterns for file in Path(place.where).glob(p)})
    for file in files:
        if not file.is_file():
            raise UserError(f"model={place.name}: {file} is not a file; put the model's there")
    return _hashed(f"fingerprint of {init.kind.value} weights", files, _hash_named)


def _hashed(kind: str, files: list[Path], digest: Callable[[list[Path]], str]) -> str:
    """Hash files, in a sweep only once as long as they are the same."""
    states = [file.stat() for file in files]
    key = files, [(state.st_ino, state.st_size, state.st_mtime_ns) for state in states]
    if (kept := recall(kind, key)) is None:
        keep(kind, key, kept := f"sha256 {digest(files)}")
    return str(kept)


def _hash(files: list[Path]) -> str:
    [file] = files
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _hash_named(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode())
        digest.update(bytes.fromhex(_hash([file])))
    return digest.hexdigest()


def template_fingerprint(model: ModelConfig) -> str | None:
    """Return a hash of a local model's chat template, if it is read and has a file of its own."""
    file = Path(Place.of(model).words) / "chat_template.jinja"
    if not model.chat or not file.is_file():
        return None
    return f"sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
