"""
Map which units of a language model follow a task, as neuroimaging maps a brain.

Question: while a model writes about pathology, which units differ from when it writes about other
topics? Do such networks repeat, overlap, tell the task, and does the model need them (Nencka et al.
2023, arXiv:2311.10898)?

How: prompts in blocks, off, on, off, …; a general linear model for every unit, by default over the
means of prompts, as tokens of one prompt are not independent. Beside every map: null scans, whose
on-blocks hold prompts of other topics too, the untrained model, and counts of tokens.

Commands:
  `{program} model=galactica125m`
      the six tasks of the paper, bundled prompts
  `{program} model=qwen0.5b data=mmlu 'study.tasks=[astronomy,virology,philosophy]'`
      subjects of a data set
  `{program} data=table data.path=prompts.csv study.task_column=task study.prompt_column=prompt`
      prompts of your own
  `{program} model=galactica125m study.model=tokens_ar1`
      tokens as observations, as published; null.csv says what that costs
"""
