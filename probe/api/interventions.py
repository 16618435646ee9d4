"""Interventions for studies: masks, treatments, outcomes, controls, and the whole in `effects`.

Importing this module imports torch and transformers.
"""

from probe.interventions.controls import CONTROLS, alike
from probe.interventions.effects import effects
from probe.interventions.hooks import Edit, Sites
from probe.interventions.masks import Masks
from probe.interventions.measure import Chosen, Condition, Measurement, stream
from probe.interventions.outcomes import MEASURES, OF_QUESTIONS, OUTCOMES, Vector, value
from probe.interventions.payload import pack, unpack
from probe.interventions.questions import questions
from probe.interventions.survey import Moments, Statistics, read_sums, survey
from probe.interventions.table import Effect, Intervention
from probe.interventions.treatments import TREATMENTS, Treatment
from probe.interventions.widths import widths
from probe.interventions.work import Work
