"""The names of other tools lead to keys that exist, and never shadow one of ours."""

import pytest

from gemtune.config.describe import all_paths, find_node
from gemtune.config.foreign_keys import NOT_A_KEY, OUR_NAMES


@pytest.mark.parametrize("key", sorted(set(OUR_NAMES.values())))
def test_every_suggested_key_exists(key: str) -> None:
    assert find_node(tuple(key.split("."))) is not None


def test_no_key_of_ours_is_called_foreign() -> None:
    ours = {path[-1] for path in all_paths()}
    assert not ours & (OUR_NAMES.keys() | NOT_A_KEY.keys())
