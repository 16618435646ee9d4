"""Import large libraries: without looking for garbage, and whatever screen they would draw on."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def draw_offscreen() -> None:
    """Let matplotlib, once it is imported, draw into files only.

    It fails on a word in MPLBACKEND that it does not know, and no command shows a figure. In a
    notebook the choice is the user's, so that only commands call this.
    """
    os.environ["MPLBACKEND"] = "agg"


@contextmanager
def importing(module: str) -> Iterator[None]:
    """Import a module in this block, if it is not imported yet.

    A million objects of torch and transformers live as long as the process. Python's collector
    would go through them again and again while they are imported, and at the end, which takes two
    fifths as long as importing them. It leaves out for good what is there when this block ends.
    """
    if module in sys.modules or not gc.isenabled():
        yield
        return
    gc.collect()  # or it would stay
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
