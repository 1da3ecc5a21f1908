"""What the tests of the checker share."""

import flint
import pytest
from tests.proof import evaluation


@pytest.fixture(scope="module")
def precise():
    """Arb at the precision of the exact evaluation, for the tests that ask for it only."""
    with flint.ctx.workprec(evaluation.PRECISION):
        yield
