"""One of the ranks that `launch` starts: `python -m probe.distributed.child FOLDER`."""

import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path

from probe.errors import UserError
from probe.system.importing import importing
from probe.system.logs import VARIABLE, file_handler


def main(place: Path) -> int:
    """Run the function described in a folder, and write the result or the error there."""
    # The driver handles Ctrl-C, which is ignored here; a child ends when the driver does.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_driver, daemon=True).start()
    logging.basicConfig(
        level=logging.INFO if os.environ["RANK"] == "0" else logging.WARNING,
        format="%(asctime)s  %(message)s",
        datefmt="%H:%M:%S",
    )
    if os.environ["RANK"] == "0" and VARIABLE in os.environ:
        logging.getLogger().addHandler(file_handler(os.environ[VARIABLE]))
    for name in ("httpx", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        _work(place)
    except Exception as error:  # noqa: BLE001 - reported for the driver to raise
        last_line = traceback.format_exception_only(error)[-1].strip()
        report = {
            "rank": os.environ["RANK"],
            "time": time.time(),
            "user": isinstance(error, UserError),
            "message": str(error) if isinstance(error, UserError) else last_line,
            "traceback": traceback.format_exc(),
        }
        unfinished = place / f"error-{os.environ['RANK']}.part"
        unfinished.write_text(json.dumps(report))
        unfinished.rename(unfinished.with_suffix(".json"))
        # Without leaving the group: the others are inside a collective, and the driver ends them.
        os._exit(1)
    return 0


def _work(place: Path) -> None:
    from safetensors.torch import save_file

    from probe.distributed.ranks import leave, this_rank
    from probe.distributed.work import find_work

    work = json.loads((place / "work.json").read_text())
    ranks = this_rank(work["device"])
    with importing(work["name"].partition(":")[0]):
        function = find_work(work["name"])
    result = function((place / "payload").read_bytes(), ranks)
    if ranks.main:
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in result.items()},
            place / "result.safetensors",
        )
    leave()


def _end_with_driver() -> None:
    # Not through sys.stdin, whose lock would abort the interpreter's shutdown.
    while os.read(0, 1):
        continue
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
