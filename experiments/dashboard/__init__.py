"""
Build a W&B workspace and report of a project's runs.

Question: how do topologies differ between the runs of a project, layer by layer?

How: the finished runs under `output` that were tracked in the project determine what W&B has of
them: curves over layers, figures, hubs, single numbers. Each becomes a panel of a workspace and of
a report, in sections: curves by layer, heat maps, histograms, hubs, comparison of runs. Without a
login, or with tracking.mode=offline, both are built and checked, but not saved.

Command: `python -m experiments.dashboard tracking.entity=TEAM tracking.project=probe`
"""
