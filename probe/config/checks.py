"""Checks of a configuration that types cannot express and that need neither model nor data."""

from collections.abc import Iterator
from glob import iglob
from itertools import chain
from pathlib import Path

from probe.config.bounds import LARGEST, declared_mistakes
from probe.config.choices import Coefficient, Scheme, Selection, Sinks, Site
from probe.config.data import GENERATED, DataConfig
from probe.config.plain import leaves, to_plain
from probe.config.reads import unread_mistakes
from probe.config.run_name import JOINT, layer_numbers, name_mistakes
from probe.config.schema import Config
from probe.config.value_checks import (
    counting_mistakes,
    is_model,
    process_mistakes,
    text_mistakes,
)
from probe.errors import UserError
from probe.system.secrets import REFUSAL, hide


def check(config: Config) -> None:
    """Raise `UserError` for the first value that cannot work."""
    checks = (
        _secret_mistakes, text_mistakes, name_mistakes, _model_mistakes, unread_mistakes,
        _data_mistakes,
        _layer_mistakes, _embedding_mistakes, _measure_mistakes, declared_mistakes,
        process_mistakes,
    )  # fmt: skip
    of_averages = (_joint_mistakes, _average_mistakes) if config.averages else ()
    for mistake in chain.from_iterable(mistakes(config) for mistakes in (*checks, *of_averages)):
        raise UserError(mistake)


def _secret_mistakes(config: Config) -> Iterator[str]:
    """Refuse secrets, which would go to config.yaml, manifest and W&B; the message has none."""
    texts = {
        name: "\n".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in leaves(to_plain(config))
    }
    together = "\n".join(texts.values())
    if hide(together) != together:  # looked through once, as there mostly are none
        for name, text in texts.items():
            if hide(text) != text:
                yield f"{name} {REFUSAL}"


def _model_mistakes(config: Config) -> Iterator[str]:
    model = config.model
    if not config.places_model:
        yield "the model has neither path nor id; give model.path=DIR or model.id=ORG/NAME"
    elif model.path is not None and not is_model(Path(model.path)):
        yield f"model.path={model.path} is not a model folder: it has no config.json"
    if model.device_map is None:
        return
    processes, device = config.launch.num_processes, config.runtime.device
    if model.device_map != "auto":
        yield f"model.device_map={model.device_map} is not supported; give auto, or leave it out"
    if processes is not None and processes > 1:
        yield (
            f"launch.num_processes={processes} is for models that fit on one device, and "
            "model.device_map=auto spreads one model over all of them; give one of the two"
        )
    if ":" in device:
        yield (
            f"runtime.device={device} is one device, and model.device_map=auto spreads the model "
            "over all of them; give one of the two"
        )


def _data_mistakes(config: Config) -> Iterator[str]:
    data = config.data
    if data.source == "text" and data.path is None:
        yield "data=text needs texts; give data.path=, a file, a folder or a pattern"
    if data.source == "table" and (data.path is None or not data.template):
        yield (
            "data=table needs a file and a template; give data.path=FILE and "
            "'data.template=\"Who wrote {title}?\"'"
        )
    if (data.choices is None) != (data.answer is None) or (
        data.choices is not None and len(set(data.choices)) < 2
    ):
        yield (
            f"data.choices={data.choices} must be two different texts or more, with data.answer= "
            "the column that says which is right, e.g. data.choices=[negative,positive] "
            "data.answer=label"
        )
    if data.source == "hub" and data.id is None and data.path is None:
        yield "data=hub needs a data set; give data.id=ORG/NAME"
    # Absolute patterns are not for Path.glob.
    if data.path and not Path(data.path).exists() and not any(iglob(data.path, recursive=True)):  # noqa: PTH207
        yield f"data.path={data.path} does not exist"
    yield from _streaming_mistakes(data)
    yield from _generation_mistakes(data)
    yield from counting_mistakes(config)
    of_all = data.part != GENERATED
    if of_all and data.max_tokens is not None and data.max_tokens < data.min_tokens:
        yield (
            f"data.max_tokens={data.max_tokens} is below data.min_tokens={data.min_tokens}, "
            "so that no example could be kept"
        )
    between = data.perplexity
    if between is not None and (len(between) != 2 or not 0 <= between[0] < between[1] <= 100):
        yield (
            f"data.perplexity={list(between)} must be two percentiles from 0 to 100, the lower "
            "first, e.g. data.perplexity=[1,99]"
        )
    elif between is not None and between[1] <= 1:
        yield (
            f"data.perplexity={list(between)} is below the first percentile; percentiles go from 0 "
            f"to 100, so give data.perplexity=[{between[0] * 100:g},{between[1] * 100:g}]"
        )


def _streaming_mistakes(data: DataConfig) -> Iterator[str]:
    if not data.streaming:
        return
    if data.shuffle or data.perplexity or data.limit is None:
        yield (
            "data.streaming=true needs data.limit=N, and no data.shuffle or data.perplexity, which "
            "need all rows"
        )


def _generation_mistakes(data: DataConfig) -> Iterator[str]:
    if data.generate:
        return
    if data.part == GENERATED:
        yield (
            f"data.part={data.part} counts tokens that the model writes; give their number, e.g. "
            f"data.generate=8 data.part={data.part}"
        )
    if data.temperature:
        yield (
            f"data.temperature={data.temperature:g} is for tokens that the model writes; give "
            "their number, e.g. data.generate=8, or leave it out"
        )


def _layer_mistakes(config: Config) -> Iterator[str]:
    selection, index = config.layers.selection, config.layers.index
    if selection is Selection.single and index is None:
        yield "layers=single needs layer numbers; give e.g. layers=12 or layers=[3,7]"
    elif selection in (Selection.single, *JOINT) and index is not None:
        numbers = layer_numbers(config)
        if not numbers or not all(
            type(number) is int and 0 <= number <= LARGEST for number in numbers
        ):
            yield (
                f"layers.index={index} must be a layer number from 0 up or a list of them, "
                "e.g. layers=12 or layers=[3,7]"
            )
        elif len(set(numbers)) < len(numbers):
            yield f"layers.index={index} names a layer twice; name each once"
        elif selection in JOINT and len(numbers) < 2:
            yield (
                f"layers={selection} joins two or more layers, and layers.index={index} is one; "
                "give e.g. layers.index=[3,7], or leave it out for all layers"
            )
    if not config.averages and selection in JOINT:
        yield (
            f"layers={selection} joins the neurons of several layers, which are read one by one "
            "here; use layers=each, middle or numbers"
        )
    if config.averages and selection is Selection.all and config.site is Site.mlp:
        yield (
            "layers=all with site=mlp would average over unrelated neurons, as every layer's MLP "
            "has its own; use layers=each or layer numbers"
        )


def _embedding_mistakes(config: Config) -> Iterator[str]:
    whole = config.layers.selection in (Selection.all, Selection.each)
    if config.site is Site.embedding and not whole and layer_numbers(config) != [0]:
        yield (
            "site=embedding is the input of the first block, a single layer, 0; give layers=0, or "
            "leave layers out"
        )


def _joint_mistakes(config: Config) -> Iterator[str]:
    """Refuse what is not computed between layers."""
    joint = f"layers={config.layers.selection}"
    if config.layers.selection not in JOINT:
        return
    if config.average.scheme is Scheme.pooled:
        yield f"{joint} needs a mean over examples; use average=mean or average=fisher"
    if config.data.sinks in (Sinks.drop, Sinks.both):
        yield (
            f"{joint} joins layers that do not drop the same tokens; leave "
            f"data.sinks={config.data.sinks} out, or use layers=each"
        )
    if config.average.std:
        yield f"{joint} has no standard errors; leave average.std=true out, or use layers=each"
    if config.null.shifts:
        yield (
            f"{joint} has no circular-shift null; leave null.shifts={config.null.shifts} out, or "
            "use layers=each"
        )
    if config.layers.selection is Selection.full and config.average.halves:
        yield (
            "layers=full has no split-half r, which would double its sums; leave "
            "average.halves=true out, or use layers=cross"
        )


def _average_mistakes(config: Config) -> Iterator[str]:
    average = config.average
    if average.std and average.scheme is Scheme.pooled:
        yield "average.std=true needs a mean over examples: average=mean or average=fisher"
    if average.correlation is Coefficient.spearman and average.scheme is Scheme.pooled:
        yield (
            "average.correlation=spearman ranks the tokens of each text, and average=pooled joins "
            "those of all texts; use average=mean or average=fisher"
        )
    if average.example is not None and average.parts > 1:
        yield f"average.example={average.example} selects one example; average.parts must be 1"
    least = 4 if average.scheme is Scheme.fisher else 2
    if config.data.part == GENERATED and config.data.generate < least:
        yield (
            f"average.scheme={average.scheme} needs examples of {least} tokens or more, "
            f"and data.generate={config.data.generate} with data.part={config.data.part}"
        )
    if config.data.min_tokens < least:
        yield (
            f"average.scheme={average.scheme} needs examples of {least} tokens or more, "
            f"and data.min_tokens={config.data.min_tokens}"
        )


def _measure_mistakes(config: Config) -> Iterator[str]:
    density = config.measures.density
    densities = density if isinstance(density, list) else [density]
    if not densities or not all(type(one) in (int, float) and 0 < one <= 1 for one in densities):
        yield (
            f"measures.density={density} must be a fraction above 0 and up to 1, or a list of "
            "them, e.g. measures.density=0.1 or measures.density=[0.01,0.1]"
        )
    elif len(set(densities)) < len(densities):
        yield f"measures.density={density} names a density twice; name each once"
