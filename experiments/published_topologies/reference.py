"""Comparison of the tree with a downloaded copy of the published one, file by file."""

import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.published_topologies.settings import PublishedTopologiesConfig, check_reference
from probe.api import Results, UserError

logger = logging.getLogger(__name__)
Matrix = NDArray[np.floating]


@dataclass(frozen=True)
class Comparison:
    """A file of ours compared with the published one; unknown values are None.

    Attributes
    ----------
    scheme : str
        Averaging scheme of ours.
    file : str
        Path in the tree.
    published : str or None
        Averaging scheme of the published one, inferred from its diagonal.
    largest, mean : float or None
        Largest and mean |difference| of the entries off the diagonal, dimensionless.
    correlation : float or None
        Pearson correlation of those entries.
    note : str
        Remarks, e.g. why they could not be compared.
    """

    scheme: str
    file: str
    published: str | None = None
    largest: float | None = None
    mean: float | None = None
    correlation: float | None = None
    note: str = ""

    def __str__(self) -> str:
        """Format it as one line."""
        if self.largest is None:
            return f"{self.scheme}/{self.file} {self.note}"
        return (
            f"{self.scheme}/{self.file} differs by up to {self.largest:.3g}, {self.mean:.3g} on "
            f"average, r = {self.correlation:.6f}; the published scheme is {self.published}"
            f"{self.note and f' ({self.note})'}"
        )


def compare(config: PublishedTopologiesConfig, folder: Path) -> None:
    """Compare each file with the reference's, and write `<folder>-comparison.csv`.

    Raises
    ------
    UserError
        If the reference is not a folder or has none of the files.
    """
    if config.reference is None:
        return
    reference = check_reference(config.reference)
    built = [
        (scheme, file.relative_to(folder / scheme))
        for scheme in config.study.schemes
        for file in sorted((folder / scheme).rglob("*.npy"))
    ]
    published = {file: _counterpart(reference, file) for _, file in built}
    if not any(published.values()):
        raise UserError(f"reference={reference} has none of the files, e.g. {built[0][1]}")
    comparisons = []
    for scheme, file in tqdm(built, "compare", disable=None, leave=False, delay=2):
        comparisons.append(_compare_file(scheme, file, folder, published[file]))
        logger.info("%s", comparisons[-1])
    others = {*reference.rglob("*.npy")} - {*published.values()}
    if others:
        logger.info("files of the reference that are not built here: %d", len(others))
    _write(comparisons, folder.with_name(f"{folder.name}-comparison.csv"))


def infer_scheme(matrix: Matrix) -> str:
    """Infer from its diagonal how a matrix was averaged.

    The mean of r has ones there; Fisher's z is clipped, which leaves 1 - 1e-7.
    """
    diagonal = np.diagonal(matrix).astype(np.float64)
    if not np.isfinite(diagonal).any():
        return "unknown"
    off = float(1 - np.nanmedian(diagonal))
    # In float32 that is 1 - 1.2e-7.
    if abs(off) < 2e-8:
        return "mean"
    return "fisher" if 2e-8 < off < 5e-7 else "unknown"


def _compare_file(scheme: str, file: Path, folder: Path, theirs: Path | None) -> Comparison:
    if theirs is None:
        return Comparison(scheme, str(file), note="is not in the reference")
    ours = np.load(folder / scheme / file, allow_pickle=False)
    try:
        published = np.load(theirs, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        return Comparison(scheme, str(file), note=f"cannot be read in the reference: {error}")
    if published.shape != ours.shape:
        shapes = f"is of shape {ours.shape}, in the reference {published.shape}"
        return Comparison(scheme, str(file), note=shapes)
    # A text with an undefined correlation leaves NaN in the published averages.
    finite = np.isfinite(published)
    off = finite & ~np.eye(len(ours), dtype=bool)
    if not off.any():
        return Comparison(scheme, str(file), note="has no finite entry in the reference")
    a, b = ours[off].astype(np.float64), published[off].astype(np.float64)
    notes = [
        f"there {theirs.name}" if theirs.name != file.name else "",
        f"{finite.size - finite.sum()} of its entries are not finite" if not finite.all() else "",
    ]
    return Comparison(
        scheme=scheme,
        file=str(file),
        published=infer_scheme(published),
        largest=float(np.abs(a - b).max()),
        mean=float(np.abs(a - b).mean()),
        correlation=float(np.corrcoef(a, b)[0, 1]),
        note=", ".join(filter(None, notes)),
    )


def _write(comparisons: list[Comparison], path: Path) -> None:
    Results(path.parent).table(path.stem, [asdict(comparison) for comparison in comparisons])
    logger.info("comparison: %s", path)


def _counterpart(reference: Path, file: Path) -> Path | None:
    """Find the published file; file names of layers end differently in some folders."""
    if (reference / file).is_file():
        return reference / file
    others = sorted((reference / file.parent).glob(f"{file.stem}*.npy"))
    return others[0] if len(others) == 1 else None
