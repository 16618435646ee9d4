"""Load a model's tokenizer, which does what its own file says."""

import logging
from collections.abc import Sequence
from dataclasses import astuple, replace
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from probe.config import InitConfig, InitKind, ModelConfig
from probe.errors import UserError
from probe.models.checkpoint import file_of
from probe.models.fingerprint import model_fingerprint, template_fingerprint
from probe.models.place import Place
from probe.system.kept import keep, keeps, recall

logger = logging.getLogger(__name__)
# What tokenizers split differently: numbers, contractions, spaces, lines, scripts, signs.
_SAMPLE = (
    "In 1907 they sold 8,919 tickets for 47.50 euros; 123456789 were left.",
    "I'd say they're done, don't you? IT'S 3x^2+y!=0 (e.g. a_b/c-d) #tag @me http://x.org/?q=1",
    "  two spaces\tand a tab\n\n\nthree lines \r\n end ",
    "Über Ærø, naïve café; Ελλάδα, Москва, 日本語の文, 한국어, हिन्दी, العربية 👩‍🚀 ½ ﬁ",
)


def load_tokenizer(model: ModelConfig, texts: Sequence[str] = ()) -> Any:
    """Load the tokenizer; without a padding token it pads with the end-of-sequence token.

    Its ids are those of tokenizer.json, which some of the `texts` to be read can show.
    """
    kind = "tokenizer, compared" if texts else "tokenizer"
    key = (astuple(model), *_files(model), *texts) if keeps() else None
    if (kept := recall(kind, key)) is not None:
        return kept
    place = Place.of(model)
    if place.gguf is not None:
        with TemporaryDirectory() as empty:  # a tokenizer beside the file is not the file's
            tokenizer = replace(place, where=empty).open(AutoTokenizer)
    else:
        if place.adapter is not None and place.words == place.adapter.where:
            place = replace(place, where=place.words, options=place.adapter.options)
        tokenizer = place.open(AutoTokenizer)
        with place.as_user_error():
            tokenizer = as_in_its_file(tokenizer, place.where, place.options, texts)
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise UserError(
            f"model={place.name}: {place.where} has no tokenizer, only special tokens; add the "
            "tokenizer's files to the model's"
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    keep(kind, key, tokenizer)
    return tokenizer


def _files(model: ModelConfig) -> tuple[str | None, ...]:
    """Identify the files of a model beside its weights."""
    random = InitConfig(kind=InitKind.random)
    return model_fingerprint(model, random), template_fingerprint(model)


def as_in_its_file(
    tokenizer: Any, where: str, options: dict[str, Any], texts: Sequence[str] = ()
) -> Any:
    """Return a tokenizer whose ids are those of tokenizer.json, for which it was made.

    AutoTokenizer puts the rules of some model classes, how numbers are split for example, in the
    place of the file's. Where ids differ the file's tokenizer is returned, which is logged.

    Parameters
    ----------
    tokenizer : transformers tokenizer
        What AutoTokenizer has made of the files.
    where : str
        Folder or repository.
    options : dict
        Options of `from_pretrained`.
    texts : sequence of str
        Texts to compare, besides a sample of what tokenizers split differently.
    """
    file = file_of(where, "tokenizer.json", options)
    if file is None:
        return tokenizer
    own = Tokenizer.from_file(file)
    own.no_truncation()
    own.no_padding()
    compared = [*_SAMPLE, *texts]
    expected = [one.ids for one in own.encode_batch(compared, add_special_tokens=False)]
    found = tokenizer(compared, add_special_tokens=False, verbose=False)["input_ids"]
    different = [n for n, ids in enumerate(found) if ids != expected[n]]
    if not different:
        return tokenizer
    faithful = PreTrainedTokenizerFast.from_pretrained(where, **options)
    log = logger.warning if texts else logger.debug  # once a run
    log(
        "the tokens of tokenizer.json are read: %s splits %d of %d texts otherwise, the first %r",
        type(tokenizer).__name__, len(different), len(compared), compared[different[0]][:40],
    )  # fmt: skip
    return faithful
