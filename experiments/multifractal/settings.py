"""Settings of the study and their checks."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from experiments.multifractal.scores import score_files
from probe.api import StudyConfig, UserError, key

_WEIGHTS = "weights are measured, and no texts are read"
IDLE = {
    "data": _WEIGHTS,
    "subject": _WEIGHTS,
    "layers": "the network has all layers",
    "average": "study.samples is the number of networks to average over",
    "null": "every matrix is also shuffled",
    "measures": "",
    "site": "the network has the neurons of all sites",
    "model.chat": _WEIGHTS,
    "model.padding_side": _WEIGHTS,
    "model.checks": _WEIGHTS,
    "model.stream": _WEIGHTS,
    "model.device_map": "",
    "model.blocks": "layouts.py says where weights are",
    "model.mlp": "layouts.py says where weights are",
    "model.mlp_output": "layouts.py says where weights are",
    "model.attention": "layouts.py says where weights are",
    "launch": "",
    "runtime": "",
    "experiment": "",
}  # fmt: skip
# Distances, nodes and layout that the published code fixes.
_PUBLISHED = {"reach": "direct", "radii": None, "relative": None}


@dataclass
class Multifractal:
    """Checkpoints, the networks that are sampled of them, and how these are judged."""

    revisions: list[str] = key([], "Training checkpoints on the Hub, e.g. [step0,step512].")
    checkpoints: str | None = key(
        None, "Pattern of checkpoints' folders, e.g. 'RUN/checkpoints/step*'; for model.path.",
        path=True,
    )  # fmt: skip
    also: list[str] = key(
        [], 'Other models, sizes say, with the same checkpoints, e.g. ["model=pythia70m"].'
    )
    mode: str = key(
        "robust", "robust, or public: layout and rules of the published code.",
        choices=("robust", "public"),
    )  # fmt: skip
    sample: int = key(64, "Neurons drawn of a layer, and twice as many hidden units.", least=2)
    samples: int = key(10, "Networks that are sampled.", least=1)
    reach: str = key(
        "direct", "Distances along direct edges, at most so many (a number), or all paths."
    )
    threshold: float = key(
        150.0, "Largest distance 1/|w| that counts.", above=1, needs="study.relative=null"
    )
    relative: float | None = key(
        None, "Instead: in units of 1/σ of the first checkpoint's weights, e.g. 3.", above=0
    )
    radii: int | None = key(
        None, "Radii in equal ratios (default: distances are rounded to integers).", least=3
    )
    filter: int = key(
        0, "Published filter, 0 to 3, of networks whose mean spectrum is shown.", least=0, most=3
    )
    origin: str = key(
        "step0", "E is counted from step 0, or from random weights.", choices=("step0", "random")
    )
    scores: str | None = key(
        None, "Scores of the checkpoints: a .csv (step, task, value) or a folder of *_stepN.json.",
        path=True,
    )  # fmt: skip
    repetitions: int = key(1000, "Bootstrap draws for intervals.", least=1)
    permutations: int = key(1000, "Draws of permutations where all are too many.", least=1)
    # NumPy's legacy generator takes 32 bits.
    seed: int = key(
        0, "Seed of the first network; of shuffles and draws.", least=0, most=1_000_000_000
    )


@dataclass
class MultifractalConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    # Trained weights keep the precision of their files.
    needs: ClassVar[Mapping[str, str]] = {"model.dtype": "init.kind=random or study.origin=random"}

    study: Multifractal = field(default_factory=Multifractal)

    @property
    def places_model(self) -> bool:
        """Whether it says where the model is; checkpoints stand in for `model.path`."""
        return self.study.checkpoints is not None or super().places_model


def check(settings: Multifractal) -> None:
    """Check the settings before any work.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    reach(settings)
    if settings.mode == "public":
        for name, value in _PUBLISHED.items():
            own = getattr(settings, name)
            if own != value:
                raise UserError(
                    f"study.mode=public leaves study.{name} as the published code has it, and "
                    f"{own} was given; leave one of the two out"
                )
    if settings.scores:
        score_files(settings.scores)


def reach(settings: Multifractal) -> int | None:
    """Return the most edges of a path, None for all.

    Raises
    ------
    UserError
        If it is neither a number nor one of the words.
    """
    words = {"direct": 1, "all": None}
    if settings.reach in words:
        return words[settings.reach]
    if not re.fullmatch("[1-9][0-9]{0,3}", settings.reach):
        raise UserError(
            f"study.reach={settings.reach} is not direct, all, or a number of edges from 1 up"
        )
    return int(settings.reach)
