"""Interventions for studies: masks, treatments, outcomes, controls, and the whole in `effects`.

Importing this module imports torch and transformers.
"""

from probe.interventions.controls import CONTROLS, alike, control
from probe.interventions.effects import Effect, Intervention, effects, headline
from probe.interventions.hooks import Edit, Sites
from probe.interventions.masks import Masks
from probe.interventions.measure import Chosen, Condition, Measurement, Work, stream, token_budget
from probe.interventions.outcomes import MEASURES, OF_QUESTIONS, OUTCOMES, Vector, value
from probe.interventions.payload import pack, unpack
from probe.interventions.questions import letter_tokens, questions
from probe.interventions.survey import Moments, Statistics, read_sums, survey, survey_request
from probe.interventions.treatments import TREATMENTS, Treatment, norm_shares
from probe.interventions.widths import widths
