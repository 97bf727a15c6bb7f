"""Named streams."""

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import kstest

from abx_amr.errors import InputError
from abx_amr.rng import stream, stream_states, stream_states_at
from abx_amr.simulator import Draws
from abx_amr.simulator.kernel import quantiles


def test_the_same_name_gives_the_same_numbers():
    assert (stream(3, "a", 1).random(9) == stream(3, "a", 1).random(9)).all()


def test_other_seeds_and_other_names_give_other_numbers():
    paths = [
        (3, "a", 1),
        (4, "a", 1),
        (3, "a", 2),
        (3, "a", "1"),
        (3, "a1"),
        (3, "a"),
        (3, "1", "a"),
    ]
    firsts = {stream(seed, *path).random() for seed, *path in paths}
    assert len(firsts) == len(paths)


def test_neighbouring_seeds_share_no_stream():
    first, second = stream_states(0, "clinic", count=50), stream_states(1, "clinic", count=50)
    assert not {tuple(row) for row in first} & {tuple(row) for row in second}


def test_row_i_is_the_stream_of_index_i_whatever_the_count():
    states = stream_states(5, "training", "clinic", count=7)
    assert (states[:3] == stream_states(5, "training", "clinic", count=3)).all()
    assert (states[[6, 2]] == stream_states_at(5, "training", "clinic", indices=[6, 2])).all()


def test_the_compiled_uniforms_are_numpys_bits():
    draws = Draws(stream_states(5, "x", count=3))
    drawn = np.concatenate([draws.uniform((4, 2)).reshape(3, 8), draws.uniform((5,))], axis=1)
    for e in range(3):
        assert (drawn[e] == stream(5, "x", e).random(13)).all()


def test_normals_are_the_quantiles_of_one_word_each():
    draws = Draws(stream_states(5, "x", count=2))
    drawn = draws.normal((50_000,))
    after = draws.uniform((1,))
    for e in range(2):
        bits = stream(5, "x", e).integers(0, 2**64, 50_000, dtype=np.uint64, endpoint=False)
        expected = ndtri(((bits >> np.uint64(12)).astype(float) + 0.5) * 2.0**-52)
        np.testing.assert_allclose(drawn[e], expected, rtol=1e-13)
        assert after[e, 0] == stream(5, "x", e).random(50_001)[-1]
    assert kstest(drawn.ravel(), "norm").pvalue > 1e-4


def test_normal_quantiles_hold_in_the_far_tails():
    smallest = 2.0**-53
    probability = np.array([smallest, 1e-15, 1e-12, 1e-11, 1.4e-11, 1e-3, 0.075, 0.5])
    probability = np.concatenate([probability, 1.0 - probability])
    out = np.empty_like(probability)
    quantiles.normal_quantiles(probability, out, np.empty(2 * len(out)))
    np.testing.assert_allclose(out, ndtri(probability), rtol=1e-14, atol=0)


@pytest.mark.parametrize("seed", [-1, 1.5, True, "1"])
def test_a_seed_that_is_no_natural_number_is_refused(seed):
    with pytest.raises(InputError, match="seed must be an integer >= 0, got"):
        stream(seed, "a")
