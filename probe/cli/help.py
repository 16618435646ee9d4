"""The page that --help prints, built from conf/ and the schema."""

import textwrap
from dataclasses import MISSING
from typing import Any

from omegaconf import OmegaConf

from probe.cli.frame import Frame
from probe.cli.keys import keys
from probe.cli.mistakes import MORE
from probe.config import CONF, group_options, leaves

_EXAMPLES = """\
{program}  [group=option] [key=value] ...

Extracts the neural topology of a language model: the Pearson correlations between its neurons
over the tokens of a text, averaged over the texts of a data set. A neuron is a coordinate of the
residual stream, unless site= selects another place.

Examples
  {program}
      the bundled model on the bundled text, offline
  {program} model=qwen0.5b data=mmlu subject=psychology
      a model and a data set from the Hugging Face Hub
  {program} model=qwen0.5b data=openwebtext data.limit=100 layers=12 average=partitioned
      one layer; the texts are split into three parts, one matrix each
  {program} model=./DIR data=FILE.jsonl layers=each
      your own model and text, one matrix per layer; model=ORG/NAME is one on the Hub
  {program} -m model=qwen0.5b data=mmlu layers=0,6,12 init=pretrained,random
      a sweep: six runs
  {program} launch.num_processes=4
      four processes on this machine (default: one per GPU)
"""
_FLAGS = """\
Flags
  -m, --multirun     sweep over comma-separated values
  --cfg job          print the configuration and stop
  --config-dir DIR   add options from a folder of your own, laid out like conf/
  --rerun RUN        repeat the run in the folder RUN, by default under <output>/.rerun, and
                     compare: exit code 0 if all r, or all numbers in a study's tables, agree
                     within 1e-6; with -m, sweep from it
  --version          the version of probe
  -h, --help         this page
"""


def help_page(
    schema: type[Any], program: str, about: str | None = None, frame: Frame | None = None
) -> str:
    """Write the help page: description, flags, the options of every group, every key.

    What a frame does not read is left out; its defaults stand in the place of the program's.
    """
    frame = frame or Frame()
    usage = "{program}  [group=option] [key=value] ...\n\n"
    lines = [(_EXAMPLES if about is None else usage + about).format(program=program), _FLAGS]
    options_of = {group: each for group, each in group_options().items() if frame.reads(group)}
    lines += ["Groups and their options"] if options_of else []
    for group, options in options_of.items():
        options = [*options, f"or {MORE[group]}"] if group in MORE else options
        default = next((word for word in frame.defaults if word.startswith(f"{group}=")), "")
        lines += _wrap(
            f"  {group:<12}", " ".join(options) + (f" (here: {default})" * bool(default))
        )
    lines += [""] if options_of else []
    lines += ["Keys and their defaults, which an option may replace"]
    listed = [key for key in keys(schema) if frame.reads(key.name)]
    replaced = _defaults(frame)
    width = max(len(key.name) for key in listed) + 1
    for key in listed:
        choices = f" [{', '.join(key.choices)}]" if key.choices else ""
        default = _default(replaced.get(key.name, key.default))
        lines += _wrap(f"  {key.name:<{width}}", key.doc + choices + default)
    return "\n".join(lines)


def _defaults(frame: Frame) -> dict[str, Any]:
    """Return the values that a frame's own defaults give, by key; nothing is composed."""
    values: dict[str, Any] = {}
    for word in frame.defaults:
        name, _, value = word.partition("=")
        option = CONF / name / f"{value}.yaml"
        if option.is_file():
            content: Any = OmegaConf.to_container(OmegaConf.load(option))
            everywhere = "@package _global_" in option.read_text(encoding="utf-8")
            values |= leaves(content if everywhere else {name: content})
        else:
            values[name] = value
    return values


def _default(value: Any) -> str:
    if value is None or value is MISSING or value == "???":
        return ""
    return f" ({str(value).lower() if isinstance(value, bool) else value})"


def _wrap(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        text, width=96, initial_indent=label, subsequent_indent=" " * len(label),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
