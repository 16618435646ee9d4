"""Measurements that an interrupted attempt has kept are not made again."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from experiments.multifractal.checkpoints import Checkpoint
from experiments.multifractal.kept import Measured
from experiments.multifractal.measuring import How, measure
from probe.api.parts import Weights, model_fingerprint, open_weights


@dataclass
class Keeping:
    """The folder of a model's measurements.

    Attributes
    ----------
    folder : Path
        Where they are.
    """

    folder: Path
    _fingerprints: dict[str, str] = field(default_factory=dict)
    _opened: tuple[str, Weights] | None = None

    def measured(
        self, checkpoint: Checkpoint, how: How, name: str = "", first: Measured | None = None
    ) -> Measured:
        """Measure a checkpoint, or read what was kept of the same weights.

        Parameters
        ----------
        checkpoint, how
            See `measure`.
        name : str
            Of another choice than the study's, for a folder of its own.
        first : Measured or None
            What the first checkpoint gave, if this is another.
        """
        weights = self._fingerprint(checkpoint)
        if first is not None:
            weights = f"{first.weights}, {weights}"
        file = self.folder / name / f"{checkpoint.name}.npz"
        found = Measured.load(file, weights)
        if found is None:
            found = measure(self.opened(checkpoint), how, first, checkpoint.name)
            found = replace(found, weights=weights)
            found.save(file)
        return found

    def opened(self, checkpoint: Checkpoint) -> Weights:
        """Open a checkpoint's weights, once in succession; random ones are a model in memory."""
        if self._opened is None or self._opened[0] != checkpoint.name:
            self._opened = None  # lets go of the last one before the next is there
            weights = open_weights(checkpoint.config.model, checkpoint.config.init)
            self._opened = checkpoint.name, weights
        return self._opened[1]

    def _fingerprint(self, checkpoint: Checkpoint) -> str:
        if checkpoint.name not in self._fingerprints:
            model, init = checkpoint.config.model, checkpoint.config.init
            self._fingerprints[checkpoint.name] = model_fingerprint(model, init)
        return self._fingerprints[checkpoint.name]
