"""The benchmark of norms, share and both topologies measures what it says."""

from benchmarks.sinks import BARE, BOTH, FLOOR, NORMS, report
from benchmarks.timing import Timing


def test_the_report_says_what_is_added() -> None:
    seconds = {FLOOR: 8.0, BARE: 10.0, NORMS: 10.2, BOTH: 12.0}
    timings = {name: Timing([one, 2 * one], [one, one]) for name, one in seconds.items()}
    told = report(timings, {}, "sinks")
    assert [row[2] for row in told.rows] == ["0.800", "1.000", "1.020", "1.200"]
    assert told.notes == [
        "Norms and share add 2.0% to the pass without them.",
        "With both topologies, what is not the forward pass takes 2.00 times as long.",
    ]
