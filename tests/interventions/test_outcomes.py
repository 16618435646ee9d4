"""Outcomes and measures against SciPy and by hand."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, rel_entr

from probe.interventions.outcomes import MEASURES, margins, outcome, value

GENERATOR = np.random.default_rng(0)
BEFORE, AFTER = GENERATOR.normal(size=(2, 6, 9)) * 2
IDS = np.array([3, 1, 8, 0, 0, 5])


def tensors() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    treated, reference = (torch.from_numpy(x).float().log_softmax(-1) for x in (AFTER, BEFORE))
    return treated, reference, torch.from_numpy(IDS)


@pytest.mark.parametrize("answer", range(3))
def test_outcomes_are_those_of_the_logits(answer: int) -> None:
    letters = [7, 2, 4]
    nll, kl, correct, likelihood = outcome(*tensors(), 4, letters, answer).tolist()
    p, q = log_softmax(BEFORE, axis=-1), log_softmax(AFTER, axis=-1)
    assert nll == pytest.approx(-sum(q[t, IDS[t + 1]] for t in range(5)), rel=1e-5)
    assert kl == pytest.approx(rel_entr(np.exp(p), np.exp(q)).sum(), rel=1e-4)
    assert correct == (int(np.argmax(AFTER[-1, letters])) == answer)
    # The text's end are its tokens 4 and 5.
    assert likelihood == pytest.approx(q[3, 0] + q[4, 5], rel=1e-5)


def test_a_text_without_an_end_has_no_likelihood_and_the_untouched_model_no_divergence() -> None:
    treated, _, ids = tensors()
    _, kl, correct, likelihood = outcome(treated, treated, ids, len(IDS), [], 0).tolist()
    assert (kl, correct, likelihood) == (0, 0, 0)


def test_margins_are_to_the_best_wrong_choice() -> None:
    likelihoods = np.array([-4.0, -1.0, -2.5, -9.0, -7.0, -8.0, -6.5])
    questions = np.array([0, 0, 0, 1, 1, 1, 1])
    np.testing.assert_allclose(margins(likelihoods, questions, [2, 3]), [-1.5, 0.5])


def test_measures_are_sums_over_texts() -> None:
    outcomes = np.array([[6.0, 0.4, 1.0, 2.0, 0.1, 0.2], [2.0, 0.2, 0.0, -1.0, 0.3, 0.4]])
    tokens = np.array([4.0, 3.0])
    found = {name: value(name, outcomes, tokens, np.sum) for name in MEASURES}
    assert found["perplexity"] == pytest.approx(np.exp(8 / 5))
    assert found["kl"] == pytest.approx(0.6 / 7)
    assert found["accuracy"] == 0.5
    assert found["margin"] == 0.5
