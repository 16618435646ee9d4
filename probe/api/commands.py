"""Building blocks for small commands that read results: words, mistakes, exit code, log."""

from probe.system.commands import Parser, exit_code
from probe.system.logs import log_to_console
