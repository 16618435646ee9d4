"""Neural topology of language models: correlations between the neurons of their hidden states.

Start from `probe.api` in Python, from `python -m probe --help` on the command line. The map below
is the short form of docs/architecture.md, which also has the reading order of one run.

Data flows one way; a package imports only those below it::

    api             the only interface for studies and notebooks
    entry           command line of the program and of studies: help, Hydra, signals, exit code
    pipeline        one run from beginning to end: read this first
    report          an HTML page of a run or a sweep
    compare         how alike the topologies of several runs are
    verify          whether a finished run is intact
    sweep           the jobs of a sweep and their summary
    runs            the folder of a run: claimed, written, closed by a manifest, read, repeated
    tracking        W&B
    plots           figures
    series          activations of single texts, kept as tokens × neurons
    interventions   neurons treated while the model reads, and what it loses, beside controls
    extraction      the one loop over the texts: activations, sums, checkpoints, memory
    measures        numbers that sum up a topology
    examples        which texts are read, in which batches, for which matrices
    topology        the result: the matrix, its edges, its noise
    correlation     the formula: standardise, multiply, sum up, divide
    distributed     ranks
    statistics      splits and bootstrap intervals over documents
    models          the model without its language-model head
    data            raw texts with their labels, one module per data set
    cli             the words of the command line, checked and composed
    config          the typed configuration, and the name of a run
    system          files, locks, logs, secrets, memory of the machine

On every rank the loop hands each layer's activations to the sums as soon as they are computed; the
sums of all ranks are merged, and become `Topology` objects, then files. Reading results needs no
torch.
"""

__version__ = "0.1.0"
