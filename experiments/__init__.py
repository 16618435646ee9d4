"""Studies built on `probe.api`, each run by `python -m experiments.NAME`."""

import sys

from probe.early import until_begun

if sys.argv[0] == "-m":  # the study is being looked for, to be run; see Python's `-m`
    until_begun()
