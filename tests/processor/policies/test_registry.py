import pytest

from leopard.processor.policies import find_policy, policy_names, published
from leopard.processor.policies.registry import register


def test_policies_are_found_by_name():
    assert policy_names() == ("fill", "published")
    assert find_policy("published") is published.allocate


def test_a_name_is_taken_once():
    with pytest.raises(AssertionError, match="two policies are called fill"):
        register("fill")(lambda request: [])
    assert policy_names() == ("fill", "published")
