"""All sums and counts of a run, fed layer by layer."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from probe.config import RESIDUALS, Coefficient, Weight
from probe.correlation import BatchShape, Matmul, MostBytes, rank, rank_bytes
from probe.examples.batches import Batch, Tensors
from probe.examples.partition import MatrixSpec
from probe.examples.request import Request
from probe.extraction.batch_norms import BatchNorms
from probe.extraction.circular_shift import shift_bytes
from probe.extraction.extracted import Extracted, ExtractedMatrix
from probe.extraction.out_of_memory import Journal
from probe.extraction.peaks import Peaks
from probe.extraction.sums import LayerSums, PairSums, Place
from probe.extraction.token_norms import strongest
from probe.extraction.token_set import SHARED, Series, TokenSet, in_single


class Accumulator:
    """The sums of every matrix, of its null models, and of a sample of every layer.

    Parameters
    ----------
    request : Request
        What to sum.
    n_neurons : int or mapping of int to int
        Neurons of a layer, or of each by its number.
    device : torch.device
        Where the sums live; it must have float64.
    place : callable, optional
        Returns where else the sums of some layers live, given these and the sums' bytes.
    """

    def __init__(
        self,
        request: Request,
        n_neurons: int | Mapping[int, int],
        device: torch.device,
        place: Place | None = None,
    ) -> None:
        self.request, self.device = request, device
        widths = n_neurons
        if isinstance(widths, int):
            widths = dict.fromkeys(request.layers, widths)
        self._widths = widths
        self._journal = Journal()
        config, place = request.config, place or (lambda _layers, _size: device)
        self._ranked = config.average.correlation is Coefficient.spearman
        # By whether norm outliers are dropped.
        self.sets = {
            drops: TokenSet(
                "without/" if drops else "", matrices, config, widths, device, place, self._journal
            )
            for drops in (False, True)
            if (matrices := [m for m in request.matrices if not m.pairs and m.drops is drops])
        }
        self.peaks = Peaks(request.matrices if request.describe else [], widths, device)
        matmul: Matmul = config.runtime.matmul.value
        joined = max(widths.values())
        self.pairs = PairSums(request.matrices, joined, place, self._journal, matmul)
        self.norms = BatchNorms(request, self._journal)
        self.before_norm = self.norms.before_norm
        self._finite: dict[int, Tensor] = {}
        # Examples, tokens, batches that ran out of memory.
        self.counts = torch.zeros(3, dtype=torch.long)

    def consume(self, batch: Batch, tensors: Tensors, layer: int, activations: Tensor) -> None:
        """Add one layer's activations of a batch to the sums that do not have them yet.

        If memory runs out, every sum has them whole or not at all; call `halve` then.

        Raises
        ------
        UserError
            If an activation is not finite, naming the example and the layer.
        """
        config = self.request.config
        if activations.device.type == "mps":
            # The formula needs float64, which MPS does not have.
            activations = activations.to(self.device)
        # A model can be spread over several devices.
        keep = tensors.keep.to(activations.device)
        # Not from `keep`, which may be on a GPU: the CPU would wait for it.
        tokens = torch.tensor(batch.n_counted(config.data.skip_first))
        by_token = config.average.weight is Weight.token
        weight = tokens.double() if by_token else torch.ones(len(tokens), dtype=torch.float64)
        ratios = self.norms.ratios(layer, activations, keep)
        series = Series(activations, keep, tokens, weight, strongest(ratios, keep))
        last = layer == self.request.layers[-1]
        for drops, sums in self.sets.items():
            of_set = self.norms.without_outliers(series, ratios) if drops else series
            for finite in sums.update(layer, batch, self._ranks(of_set)):
                self._finite[layer] = finite
            self._note_peaks(layer, batch, tensors, of_set, drops)
        if self.pairs.sums:
            of_pairs = self._ranks(series).activations
            for finite in self.pairs.update(layer, batch.cell, of_pairs, keep, weight):
                self._finite[layer] = finite
            self._note_peaks(layer, batch, tensors, series)
        if last:
            self._refuse_non_finite(batch)
            self.norms.count(batch, tensors, tokens, weight)
            self.counts += torch.tensor([len(tokens), int(tokens.sum()), 0])
            self._journal.go_on()

    def _ranks(self, series: Series) -> Series:
        """Rank each layer once for all its sums: shifting ranks is ranking what is shifted."""
        if not self._ranked:
            return series
        return replace(series, activations=rank(series.activations, series.keep))

    def _note_peaks(
        self, layer: int, batch: Batch, tensors: Tensors, series: Series, drops: bool = False
    ) -> None:
        """Keep the tokens on which neurons are largest, of texts that are not left out."""
        step = "peaks", layer, drops
        if self._journal.todo(step):
            counted = (series.weight > 0).to(series.keep.device)
            keep = series.keep & counted.unsqueeze(1)
            self.peaks.update(layer, batch, series.activations, keep, tensors.attended, drops)
            self._journal.note(step)

    def halve(self, batch: Batch, rows: int) -> None:
        """Prepare for the batch to be repeated in two parts, the first of `rows` examples."""
        self._refuse_non_finite(batch)
        self.norms.forget()
        self._journal.halve(rows)

    def _refuse_non_finite(self, batch: Batch) -> None:
        """Check all layers at once: a GPU stands still while the CPU waits for its answer."""
        if not self._finite:  # no matrix needs these examples
            return
        layers = list(self._finite)
        finite = torch.stack([self._finite[layer].to(self.device) for layer in layers])
        for place, row in (~finite).nonzero()[:1].tolist():
            raise self.request.not_finite(batch.members[row], layers[place])
        self._finite.clear()

    def _parts(self) -> Iterator[LayerSums | PairSums]:
        for sums in self.sets.values():
            yield from sums.parts
        yield self.pairs

    def state(self) -> dict[str, Tensor]:
        """Return all sums and counts by name."""
        state = {"counts": self.counts} | self.norms.state() | self.peaks.state()
        for sums in self._parts():
            state |= sums.state()
        return state

    @property
    def nbytes(self) -> int:
        """Bytes of all sums and counts."""
        return sum(tensor.nbytes for tensor in self.state().values())

    def most_bytes(self, batch: BatchShape, cell: int) -> MostBytes:
        """Return the most bytes that batches of a shape and cell take, see `Sums.most_bytes`."""
        widest = max(self._widths.values())
        shifts = self.request.config.null.shifts and self.sets
        others = [self.norms.most_bytes(batch), self.peaks.most_bytes(batch)]
        others += [shift_bytes(batch, widest)] if shifts else []
        others += [rank_bytes(batch, widest)] if self._ranked else []
        if any(sums.shares.sums for sums in self.sets.values()):
            others.append(MostBytes(update=4 * batch.tokens * min(widest, SHARED)))
        return MostBytes.of([*(sums.most_bytes(batch, cell) for sums in self._parts()), *others])

    def merge(self, state: Mapping[str, Tensor]) -> None:
        """Add the `state()` of another rank."""
        self.counts += state["counts"]
        self.norms.merge(state)
        self.peaks.merge(state)
        for sums in self._parts():
            sums.merge(state)

    def finish(self) -> Extracted:
        """Return the averages, once every example has been counted.

        Sums between layers are freed on the way.
        """
        examples, tokens, out_of_memory = self.counts.tolist()
        assert examples == self.request.n_examples, (
            f"{examples} examples were summed, not {self.request.n_examples}"
        )
        norms = self.norms.norms
        first = norms.first if self.request.config.site in RESIDUALS else None
        return Extracted(
            examples=examples,
            tokens=tokens,
            out_of_memory=out_of_memory,
            matrices={
                matrix.name: self._finish_pairs(matrix) if matrix.pairs else self._finish(matrix)
                for matrix in self.request.matrices
            },
            first_token_norm=None if first is None else torch.from_numpy(first / examples),
            norms=norms.record(examples),
            peaks={
                matrix.name: self.peaks.of(matrix)
                for matrix in self.request.matrices
                if self.request.describe
            },
        )

    def _finish(self, matrix: MatrixSpec) -> ExtractedMatrix:
        finished = self.sets[matrix.drops].finish(matrix)
        tallies = self.norms.kept
        if tallies is None or not matrix.drops:
            return finished
        kept = tallies.of(matrix.layers, matrix.cells, matrix.scheme)
        return replace(finished, kept=kept.tensor())

    def _finish_pairs(self, matrix: MatrixSpec) -> ExtractedMatrix:
        """Average a matrix between two layers, or each block of the matrix of several."""
        averages = {
            pair: [in_single(average) for average in self.pairs.take(matrix, pair)]
            for pair in matrix.pairs
        }
        if matrix.kind == "full":
            return ExtractedMatrix(
                None, blocks={pair: block for pair, (block, *_) in averages.items()}
            )
        [(average, *halves)] = averages.values()
        return ExtractedMatrix(average, halves=halves)
