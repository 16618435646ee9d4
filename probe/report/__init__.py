"""One self-contained HTML page of a run or a sweep; it reads their files and nothing else."""

from probe.report.page import write_report

__all__ = ["write_report"]
