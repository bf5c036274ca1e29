import pytest


@pytest.fixture(autouse=True)
def own_index(tmp_path_factory, monkeypatch):
    """What a user has indexed must not change what tests see."""
    monkeypatch.setenv("LEOPARD_INDEX", str(tmp_path_factory.getbasetemp() / "no-index"))
