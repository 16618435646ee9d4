"""Planted networks are found, by group ICA as nilearn's; temporal ICA fails where it must."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import FastICA, fastica
from sklearn.utils.extmath import randomized_svd

from experiments.networks.decomposition import (
    Method,
    canica,
    decompose,
    reduce,
    spatial,
    temporal,
)
from experiments.networks.masks import fix_signs, threshold_maps, z_maps
from experiments.networks.matching import match, stability
from experiments.networks.recurrence import iou
from experiments.networks.signals import Signals
from experiments.networks.subspace import is_exact
from probe.api import UserError
from tests.experiments.networks.planted_networks import GROUPS, Planted, planted

Matrix = NDArray[np.float64]
SAFE = 1  # data of which nilearn loses no component
METHODS: list[Method] = ["canica", "spatial", "temporal"]


@pytest.fixture(scope="module")
def data() -> Planted:
    return planted()


def _reference(
    samples: Sequence[Matrix], k: int, seed: int, runs: int, scaled: bool = True
) -> Matrix:
    """Group ICA on arrays with scikit-learn's whitening.

    Without scaling it is what nilearn's CanICA computes. That gives orthonormal components to the
    whitening, which loses one of them on some data; scaled by singular values they are safe.
    """
    rows = []
    for sample in samples:
        left, values, _ = randomized_svd(sample.T, k, random_state=seed)
        rows.append(left.T * values[:, None])
    data = np.concatenate(rows)
    data /= np.linalg.norm(data, axis=1, keepdims=True)
    components, values, _ = randomized_svd(data.T, k, transpose=True, random_state=seed, n_iter=3)
    if scaled:
        components = components * values
    best, least = None, np.inf
    for own in np.random.RandomState(seed).randint(np.iinfo(np.int32).max, size=runs):
        maps = fastica(components, whiten="arbitrary-variance", fun="cube", random_state=own)[2].T
        if np.abs(maps).sum(axis=1).max() < least:
            best, least = maps, np.abs(maps).sum(axis=1).max()
    assert best is not None
    peak = np.where(best.max(axis=1) < -best.min(axis=1), -1, 1)
    return np.asarray(best * peak[:, None])


def _samples(data: Planted) -> list[Matrix]:
    return np.split(data.values.astype(np.float64), len(data.lengths))


@pytest.mark.campaign
def test_the_reference_is_nilearns_canica() -> None:
    import nibabel
    from nilearn.decomposition import CanICA
    from nilearn.maskers import MultiNiftiMasker

    data = planted(seed=SAFE)
    plain = {"standardize": False, "detrend": False, "smoothing_fwhm": None}
    mask = nibabel.Nifti1Image(np.ones((data.maps.shape[1], 1, 1), dtype=np.int8), np.eye(4))
    images = [
        nibabel.Nifti1Image(sample.T.reshape(-1, 1, 1, len(sample)), np.eye(4))
        for sample in _samples(data)
    ]
    masker = MultiNiftiMasker(mask_img=mask, **plain)
    model = CanICA(
        n_components=GROUPS, mask=masker, threshold=None, random_state=1, n_init=3, **plain
    )
    with pytest.warns(UserWarning, match="Overriding provided-default estimator parameters"):
        found = model.fit(images).components_
    reference = _reference(_samples(data), GROUPS, 1, 3, scaled=False)
    np.testing.assert_allclose(reference, found, atol=1e-10)
    ours = decompose(canica(data.signals("none"), GROUPS)).maps
    assert np.abs(match(found, ours).r).min() >= 0.9999


@pytest.mark.parametrize("device", [None, "cpu"])
def test_group_ica_is_that_of_the_reference(data: Planted, device: str | None) -> None:
    whitened = canica(data.signals("none"), GROUPS, device=device)
    found = decompose(whitened, range(3), device=device)
    reference = _reference(_samples(data), GROUPS, 1, 3)
    assert np.abs(match(reference, found.maps).r).min() >= 0.9999


def test_group_ica_of_many_samples_is_that_of_the_reference() -> None:
    data = planted(units=1200, members=100, tokens=25, samples=40)
    assert not is_exact(40 * GROUPS, GROUPS)
    found = decompose(canica(data.signals("none"), GROUPS), [0])
    reference = _reference(_samples(data), GROUPS, 1, 1)
    assert np.abs(match(reference, found.maps).r).min() >= 0.9999


@pytest.mark.parametrize("method", ["canica", "spatial"])
@pytest.mark.parametrize("solver", ["fastica", "picard"])
def test_planted_groups_are_found(data: Planted, method: Method, solver: str) -> None:
    found = decompose(reduce(data.signals(), GROUPS, method), range(2), solver=solver)
    assert data.least_r(found.maps) >= 0.95
    z = z_maps(fix_signs(found.maps))
    order = match(data.maps, found.maps).second
    members, everywhere = data.maps != 0, np.ones(3000, dtype=bool)
    assert np.diag(iou(members, threshold_maps(z, everywhere)[order])).min() >= 0.95
    # Half of the units have the other sign.
    one_sided = threshold_maps(z, everywhere, "one-sided")[order]
    recall = (one_sided & members).sum(axis=1) / members.sum(axis=1)
    np.testing.assert_allclose(recall, 0.5, atol=0.12)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("seed", range(12))
def test_no_component_is_lost(seed: int, order: str) -> None:
    data = planted(seed, units=1500, members=100, tokens=80, samples=5)
    values = np.asarray(data.values, order=order)
    found = decompose(canica(Signals.of(values, "zscore", data.lengths), GROUPS), [seed])
    assert data.least_r(found.maps) >= 0.9


def test_temporal_ica_is_scikit_learns() -> None:
    data = planted(units=500, members=50, tokens=2000, samples=1, courses="laplace")
    values = data.values + np.linspace(
        -9, 9, 500, dtype=np.float32
    )  # units have means of their own
    found = decompose(temporal(Signals.of(values, "none"), GROUPS), [0], "logcosh")
    direct = FastICA(GROUPS, random_state=0).fit(values.astype(np.float64))
    matched = match(direct.mixing_.T, found.maps)
    assert np.abs(matched.r).min() >= 0.999
    # Their scale is scikit-learn's too: of sources with variance 1.
    np.testing.assert_allclose(
        np.linalg.norm(found.maps[matched.second], axis=1),
        np.linalg.norm(direct.mixing_.T[matched.first], axis=1), rtol=1e-2,
    )  # fmt: skip


def test_temporal_ica_finds_laplace_time_courses(caplog: pytest.LogCaptureFixture) -> None:
    data = planted(units=600, members=60, tokens=2000, samples=1, courses="laplace")
    whitened = temporal(data.signals(), GROUPS)
    found = decompose(whitened, [0], "logcosh", max_iterations=200)
    assert data.least_r(found.maps) >= 0.97
    sources = whitened.sources(found.runs[0])
    np.testing.assert_allclose(sources.std(axis=1), 1)
    assert np.abs(match(data.courses.T, sources).r).min() >= 0.97
    assert not caplog.records


def test_temporal_ica_of_normal_time_courses_fails_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = planted(units=600, members=60, tokens=500, samples=1)
    found = decompose(temporal(data.signals(), GROUPS), [0], "logcosh", max_iterations=200)
    assert data.least_r(found.maps) < 0.9
    assert found.runs[0].iterations == 200
    few, unconverged = (record.getMessage() for record in caplog.records)
    assert few.startswith("temporal ICA of 8 components wants 640 tokens (10 k²), and has 500: ")
    assert "of 8 components have not converged after 200 iterations: " in unconverged


@pytest.mark.parametrize("method", METHODS)
def test_permuted_and_scaled_units_and_other_seeds_give_the_same_networks(method: Method) -> None:
    data = planted(units=800, members=60, tokens=300, samples=4, courses="laplace")
    contrast = "logcosh" if method == "temporal" else "cube"
    first = decompose(reduce(data.signals(), GROUPS, method), [0], contrast).maps
    order = np.random.default_rng(1).permutation(800)
    other = Signals.of(3 * data.values[:, order], "zscore", data.lengths)
    second = decompose(reduce(other, GROUPS, method, seed=5), [1], contrast).maps
    assert stability(first[:, order], [second]).min() >= 0.999


def test_the_sparsest_run_is_chosen() -> None:
    rng = np.random.default_rng(0)
    signals = Signals.of(rng.normal(size=(40, 300)).astype(np.float32))
    whitened = spatial(signals, 10)
    found = decompose(whitened, range(4), max_iterations=5)
    sums = [np.abs(run.unmixing @ whitened.rows).sum(axis=1).max() for run in found.runs]
    assert len(set(sums)) == 4
    assert found.chosen == int(np.argmin(sums))
    np.testing.assert_allclose(found.sparsity, sums)
    expected = found.runs[found.chosen].unmixing @ whitened.rows
    np.testing.assert_allclose(found.maps, expected, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rule", ["zscore", "none"])
def test_constant_units_change_nothing_and_have_maps_of_zero(method: Method, rule: str) -> None:
    data = planted(units=400, members=40, tokens=150, samples=4, courses="laplace")
    contrast = "logcosh" if method == "temporal" else "cube"
    expected = decompose(reduce(data.signals(rule), GROUPS, method), [0], contrast).maps
    wider = np.insert(data.values, [0, 200, 400], [0, 5, -1e3], axis=1)
    signals = Signals.of(wider, rule, data.lengths)
    found = decompose(reduce(signals, GROUPS, method), [0], contrast).maps
    constant = ~signals.varying
    assert np.flatnonzero(constant).tolist() == [0, 201, 402]
    assert not found[:, constant].any()
    assert np.abs(match(expected, found[:, ~constant]).r).min() >= 0.9999


@pytest.mark.parametrize("method", METHODS)
def test_numbers_of_components_that_cannot_be_are_refused(method: Method) -> None:
    values = np.random.default_rng(0).normal(size=(9, 20)).astype(np.float32)
    values[:, 8:] = 1
    for number in (0, -3):
        with pytest.raises(UserError, match=f"^{number} components; ask for 1 or more$"):
            reduce(Signals.of(values), number, method)
    with pytest.raises(UserError, match=r"^9 components of 8 units that vary; ask for at most 8$"):
        reduce(Signals.of(values), 9, method)
    with pytest.raises(UserError, match=r"^6 components of 5 tokens; ask for at most 5$"):
        reduce(Signals.of(values[:5]), 6, method)


@pytest.mark.parametrize("method", METHODS)
def test_a_rank_that_is_too_low_is_told(method: Method) -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(60, 4)) @ rng.normal(size=(4, 90))).astype(np.float32)
    with pytest.raises(UserError, match=r"^6 components of signals of rank 4; ask for at most 4$"):
        reduce(Signals.of(values, "zscore", [30, 30]), 6, method)
