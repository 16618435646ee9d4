"""One of the processes that `Workers` starts: `python -m probe.system.worker`."""

import json
import logging
import os
import threading
import traceback
from queue import SimpleQueue

from probe.system.logs import VARIABLE, file_handler
from probe.system.workers import find


def main() -> None:
    """Answer every line of the standard input, until it ends."""
    questions: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read, args=(questions,), daemon=True).start()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)  # what libraries print is no answer
        logging.basicConfig(format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
        if VARIABLE in os.environ:
            logging.getLogger().addHandler(file_handler(os.environ[VARIABLE]))
        while True:
            function, item = json.loads(questions.get())
            try:
                answer = {"value": find(function)(item)}
            except Exception as error:  # noqa: BLE001 - the driver raises it
                answer = {"failure": traceback.format_exception_only(error)[-1].strip()}
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def _read(questions: "SimpleQueue[str]") -> None:
    with os.fdopen(0, encoding="utf-8") as stream:
        for line in stream:
            questions.put(line)
    os._exit(0)  # the driver has ended, or needs no more


if __name__ == "__main__":
    main()
