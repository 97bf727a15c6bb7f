"""What the compiled update computes by itself is what numpy computes."""

import numpy as np
import pytest

from abx_amr.agents.learners.seed_batched.compiled.elementary import exp_of, log_of, tanh_of
from abx_amr.agents.learners.seed_batched.compiled.narrow import product, product_of_rows

FUNCTIONS = {
    "exp": (exp_of, np.exp, np.linspace(-86.0, 87.0, 2001), 3e-7),
    "exp of a log probability": (exp_of, np.exp, np.linspace(-10.0, 1.0, 2001), 1.3e-7),
    "log": (log_of, np.log, np.concatenate([np.geomspace(1e-30, 1e30, 2001), [1.0]]), 1.4e-7),
    "tanh": (tanh_of, np.tanh, np.linspace(-12.0, 12.0, 2001), 3e-7),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_near_that_of_double_precision(name):
    function, reference, inputs, tolerance = FUNCTIONS[name]
    inputs = inputs.astype(np.float32)
    ours = np.array([function(x) for x in inputs])
    np.testing.assert_allclose(ours, reference(inputs.astype(np.float64)), tolerance)


@pytest.mark.parametrize("function", [exp_of, log_of, tanh_of])
def test_what_is_not_a_number_stays_so(function):
    assert np.isnan(function(np.float32("nan")))


def test_an_exponential_ends_where_float32_does():
    assert 0.0 <= exp_of(np.float32("-inf")) < 2e-38
    assert 1e38 < exp_of(np.float32("inf")) <= np.finfo(np.float32).max


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (1, 64), (2, 4), (3, 5), (15, 7), (32, 9)])
@pytest.mark.parametrize("samples", [1, 6, 33])
def test_narrow_products_are_products(rows, columns, samples):
    rng = np.random.default_rng([rows, columns, samples])
    left, right = rng.normal(size=(rows, columns)), rng.normal(size=(columns, samples))
    out = np.full((rows, samples), np.nan, np.float32)
    product(left.astype(np.float32), right.astype(np.float32), out)
    np.testing.assert_allclose(out, left @ right, 1e-4, 1e-5)
    out[:] = np.nan
    product_of_rows(left.astype(np.float32), np.ascontiguousarray(right.T, np.float32), out)
    np.testing.assert_allclose(out, left @ right, 1e-4, 1e-5)
