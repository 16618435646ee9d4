"""Interventions: units of a model are treated while it reads, and what it loses is measured.

`effects` does the whole: masks in, rows of a table out, each mask beside its controls.
"""
