"""Import large libraries without looking for garbage among what they define."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


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
