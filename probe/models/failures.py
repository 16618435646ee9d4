"""Error messages for a model whose files cannot be loaded."""

import re
from http import HTTPStatus

from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from probe.errors import causes

_OR_LOCAL = "or give a local copy with model.path="


def failure(where: str, revision: str | None, error: BaseException) -> str:
    """Explain in one line why a model's files could not be loaded, and what to do.

    The Hub's answer is among the causes of the error; transformers' own first line omits it.

    Examples
    --------
    >>> print(failure("Org/Name", "step1", OSError("No such revision.")))
    Org/Name at step1 could not be loaded (No such revision); check the name and the network, ...
    """
    text = str(error)
    if "trust_remote_code" in text or "custom code" in text:
        return (
            f"{where} comes with Python code of its own, which is not run; read it, and give "
            "model.trust_remote_code=true if you trust it"
        )
    if re.search(r"file named [^\n]*safetensors", text) and ".bin" not in text:
        return (
            f"{where} has no weights in safetensors; convert them (load and save_pretrained in "
            "transformers), or give model.pickle=true to read pickled ones, tensors only"
        )
    if isinstance(error, ImportError):
        return f"{where} needs a package that is not installed: {text.strip().splitlines()[0]}"
    # A file that is neither on the Hub nor in the cache is an HTTP error without a response.
    answers = (one for one in causes(error, contexts=True) if isinstance(one, HfHubHTTPError))
    answer = next((one for one in answers if getattr(one, "response", None) is not None), None)
    status = None if answer is None else answer.response.status_code
    if isinstance(answer, GatedRepoError):
        return (
            f"{where} is gated; accept its licence at https://huggingface.co/{where} and log in "
            f"with `hf auth login`, {_OR_LOCAL}"
        )
    if isinstance(answer, RepositoryNotFoundError):
        return (
            f"{where} is not on the Hub, or is private; check the name, log in with "
            f"`hf auth login` if it is private, {_OR_LOCAL}"
        )
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return (
            f"the Hub refuses {where} to your token ({status}); log in with `hf auth login` and "
            f"a token that may read it, {_OR_LOCAL}"
        )
    if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return f"the Hub answers {status} for {where}; try again later, {_OR_LOCAL}"
    # transformers reports an interrupted download as a missing file.
    if text.startswith("Can't load"):
        connections = (
            one for one in causes(error, contexts=True) if type(one).__module__.startswith("httpx")
        )
        error = next(connections, error)
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    at = f" at {revision}" if revision is not None else ""
    return (
        f"{where}{at} could not be loaded ({reason}); check the name and the network, {_OR_LOCAL}"
    )
