"""Building blocks for pages in the program's style, which need no network and escape content."""

from probe.report.frame import Frame
