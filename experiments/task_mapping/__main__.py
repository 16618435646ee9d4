"""`python -m experiments.task_mapping model=… data=…`."""

from experiments.task_mapping.settings import TaskMappingConfig, sources
from probe.api import study

if __name__ == "__main__":
    study(
        "task_mapping",
        TaskMappingConfig,
        "experiments.task_mapping.task:run",
        reads=sources,
        idle={
            "average": "",
            "null": "study.null_scans is the number of null scans",
            "measures": "",
            "runtime.matmul": "",
            "init": "random weights are a control",
            "data.generate": "give study.tokens=, or study.generate=false",
            "data.temperature": "give study.temperature=",
            "data.part": "give study.generate=false to read prompts",
            "data.cut": "prompts are read whole",
            "data.max_words": "prompts are read whole",
            "data.window": "prompts are read whole",
            "data.min_tokens": "no prompt is too short",
            "data.max_tokens": "a prompt may be as long as the model's context",
            "data.skip_first": "special tokens before a prompt are left out",
            "data.perplexity": "all prompts are there to be drawn",
            "data.shuffle": "prompts are drawn by study.seed",
            "data.offset": "all prompts are there to be drawn",
            "data.limit": "study.scans and study.prompts say how many are read",
        },
        defaults=["data=tasks"],
        resumes=True,
    )
