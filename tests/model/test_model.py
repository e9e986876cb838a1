"""The model of ownership, in a size that takes a second. `make verify` checks a larger one."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.model.__main__ import VARIANTS, check

pytestmark = pytest.mark.skipif(
    shutil.which("spin") is None and "CI" not in os.environ, reason="needs spin: apt install spin"
)
SIZE = {"entries": 2, "epochs": 3}


def test_model_of_ownership_in_every_state_publishes_each_entry_once_in_order() -> None:
    checked = check(None, **SIZE)
    assert checked.errors == 0
    assert checked.complete
    assert checked.states > 10_000


@pytest.mark.parametrize("variant", VARIANTS)
def test_broken_variant_of_the_model_is_found(variant: str) -> None:
    assert check(variant, **SIZE).errors == 1
