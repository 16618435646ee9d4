"""`python -m experiments.dashboard tracking.entity=TEAM`: make a W&B workspace and a report.

A dashboard is not a run: it computes nothing, has no folder, and is rebuilt whenever runs have been
added. So it only composes a configuration for the keys that locate the runs (`output`,
`tracking.*`), without Hydra's jobs and run folders.
"""

import logging
import sys
from collections.abc import Sequence

import experiments.dashboard
from probe.api import UserError, compose

_KEYS = """
Keys
  tracking.entity    W&B user or team; required
  tracking.project   W&B project (probe)
  tracking.mode      auto saves if you are logged in, online saves, offline only checks (auto)
  output             folder with the project's runs (outputs)
"""


def main(words: Sequence[str]) -> int:
    """Build the dashboard for a command line, and return the exit code: 0, 1 or 130."""
    if {"-h", "--help"} & set(words):
        sys.stdout.write(f"{(experiments.dashboard.__doc__ or '').lstrip()}{_KEYS}")
        return 0
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    try:
        flags = [word for word in words if word.startswith("-")]
        if flags:
            raise UserError(f"{flags[0]} has no effect here; give key=value, --help lists the keys")
        config = compose(*words)

        from experiments.dashboard.saving import make_dashboard  # imports W&B, which takes a second

        make_dashboard(config)
    except UserError as error:
        sys.stderr.write(f"probe: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("probe: interrupted; the same command starts it again\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
