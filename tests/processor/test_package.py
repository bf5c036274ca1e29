import pytest

import leopard.processor


def test_public_names_load_on_first_use():
    for name in leopard.processor.__all__:
        assert getattr(leopard.processor, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'magic'"):
        _ = leopard.processor.magic
