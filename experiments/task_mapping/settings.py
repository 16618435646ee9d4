"""Settings of the study and their checks."""

from dataclasses import dataclass, field, replace

from probe.api import Site, StudyConfig, UserError, key, overlay

MODELS = ("prompt_ols", "tokens_ols", "tokens_ar1")
NUISANCE = ("position", "length", "log_probability", "token_class")


@dataclass
class TaskMapping:
    """Tasks, the design of scans, and what is done with maps."""

    tasks: list[str] = key(
        [], "Tasks: subjects, or values of study.task_column (default: all, in their order)."
    )
    task_column: str | None = key(
        None, "Column with the task of every row (data=table).", needs="data.source=table"
    )
    prompt_column: str | None = key(
        None, "Column with the prompts, instead of data.template (data=table)."
    )
    blocks: int = key(7, "Blocks of a scan, off, on, …, off: an odd number.", least=3)
    prompts: int = key(5, "Prompts of a block.", least=1)
    scans: int = key(4, "Scans of every task, with prompts of their own.", least=2)
    null_scans: int | None = key(
        None, "Scans in which all blocks are off (default: as many as of tasks).", least=2
    )
    generate: bool = key(True, "Read what the model writes after a prompt, or the prompt itself.")
    tokens: int = key(
        8, "Tokens that are generated after every prompt.", least=1, needs="study.generate=true"
    )
    temperature: float = key(
        0.0, "Temperature at which they are drawn (0: the likeliest).", least=0
    )
    sites: list[str] = key(
        ["residual", "mlp"],
        "Where units are read, unless site= is given.",
        choices=tuple(site.value for site in Site if site is not Site.embedding),
    )
    model: str = key(
        "prompt_ols",
        "Observations and noise: means of prompts by least squares, or tokens, with white (ols) or "
        "autoregressive (ar1) noise.",
        choices=MODELS,
    )
    nuisance: list[str] = key([], "Regressors beside the task's.", choices=NUISANCE)
    alpha: float = key(0.05, "False discovery rate of networks.", above=0, below=1)
    top: float = key(0.1, "Share of units in a network of fixed size.", above=0, below=1)
    reject: float = key(
        0.05, "Share of null scans that may be taken for a task's.", above=0, below=1
    )
    permutations: int = key(1000, "Permutations of labels, a null model.", least=1)
    repetitions: int = key(1000, "Bootstrap draws of scans for intervals.", least=1)
    effects: list[str] = key([], "What is done with networks in the model.", choices=("lesion",))
    draws: int = key(
        5, "Draws of random units, the controls of a lesion.", least=1, needs="study.effects=lesion"
    )
    seed: int = key(0, "Seed of prompts in scans, permutations, draws and random weights.", least=0)


@dataclass
class TaskMappingConfig(StudyConfig):
    """The program's configuration with the settings of this study."""

    site: Site | None = key(  # type: ignore[assignment]
        None, "The only site that is read (default: those of study.sites)."
    )
    study: TaskMapping = field(default_factory=TaskMapping)

    def __post_init__(self) -> None:
        """Read the table's column of prompts, before the table is checked."""
        column = self.study.prompt_column
        if column is not None and self.data.source == "table" and self.data.template is None:
            self.data = replace(self.data, template=template(column))


def template(column: str) -> str:
    """Return the template of texts that are one column of a table."""
    return f"{{{column}}}"


def check(config: TaskMappingConfig) -> None:
    """Check the settings.

    Raises
    ------
    UserError
        For the first value that cannot work.
    """
    settings = config.study
    if settings.blocks % 2 == 0:
        raise UserError(
            f"study.blocks={settings.blocks} would end with an on-block, and scans begin and end "
            f"off; give an odd number, e.g. study.blocks={settings.blocks + 1}"
        )
    column = settings.prompt_column
    if column is not None and config.data.source != "table":
        raise UserError(
            f"study.prompt_column={column} is a column of a table, and data={config.data.source} "
            "has its own texts; give data=table data.path=FILE"
        )
    if column is not None and config.data.template != template(column):
        raise UserError(
            f"study.prompt_column={column} and data.template={config.data.template} are both the "
            "text of a row; leave one of the two out"
        )
    if config.model.chat and not settings.generate:
        raise UserError(
            "model.chat=true with study.generate=false would read the words of the chat template, "
            "too; leave one of the two out"
        )
    if settings.temperature and not settings.generate:
        raise UserError(
            f"study.temperature={settings.temperature:g} is for tokens that the model writes, and "
            "study.generate=false reads the prompts; leave one of the two out"
        )
    if config.data.source == "table" and settings.task_column is None:
        raise UserError(
            "data=table needs the column that says which task a prompt is of; give "
            "study.task_column=COLUMN"
        )
    if settings.effects and settings.top > 0.5:
        raise UserError(
            f"study.top={settings.top:g} leaves fewer units outside a network than inside, and a "
            "lesion is compared with as many others; give 0.5 or less"
        )
    if len(settings.tasks) == 1:
        raise UserError(
            f"study.tasks={settings.tasks} is one task, and networks are compared between tasks; "
            "give two or more"
        )
    if len(set(settings.tasks)) < len(settings.tasks):
        raise UserError(f"study.tasks={settings.tasks} names a task twice; name each once")


def at_sites(config: TaskMappingConfig) -> dict[str, TaskMappingConfig]:
    """Return a configuration for every site that is read, by its name."""
    sites = config.study.sites if config.site is None else [config.site.value]
    return {site: overlay(config, [f"site={site}"]) for site in sites}


def sources(config: TaskMappingConfig) -> list[TaskMappingConfig]:
    """Check the settings, and return the configuration whose model and texts are read."""
    check(config)
    return [config]
