"""One self-contained HTML page of a run or a sweep, made from their files alone."""

from probe.report.page import write_report
