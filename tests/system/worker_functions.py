"""What workers are asked to do in tests, by name."""

import os
import sys
import time
from typing import Any


def describe(item: dict[str, Any]) -> dict[str, Any]:
    """Return the item with what is known of the process."""
    print("not an answer")  # noqa: T201 - workers must not take it for one
    time.sleep(item.get("seconds", 0))
    return item | {
        "pid": os.getpid(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "main": sys.modules["__main__"].__spec__ and sys.modules["__main__"].__spec__.name,
    }


def end_elsewhere(item: dict[str, Any]) -> str:
    """End the process unless it is the caller's."""
    if os.getpid() != item["caller"] and item["number"] == 1:
        os._exit(9)
    return f"done {item['number']}"


def fail_elsewhere(item: dict[str, Any]) -> str:
    """Fail unless the process is the caller's."""
    if os.getpid() != item["caller"]:
        raise MemoryError("no room")
    return "done"


def fail(item: dict[str, Any]) -> None:
    """Fail everywhere."""
    raise LookupError(item["word"])
