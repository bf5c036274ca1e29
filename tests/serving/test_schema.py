"""The server against its own OpenAPI."""

import subprocess
import sys

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from leopard.serving.app import build_app
from tests.serving.live import fake_model, in_its_own_process

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


@pytest.fixture(scope="module")
def url():
    """A server in a process of its own.

    hypothesis reads source code with `ast.parse`, which in Python 3.11 fails when another thread
    of the process parses at the same time, as every traceback that a logger prints does.
    """
    with in_its_own_process("--model", "fake", "--set", "receive_timeout_s=600") as server:
        yield server.url


schema = schemathesis.openapi.from_dict(build_app(fake_model()).openapi())


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_server_keeps_to_its_openapi(case, url):
    case.call_and_validate(base_url=url, checks=CHECKS)


@schema.include(path="/v1/chat/completions", method="POST").parametrize()
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_any_conversation_with_the_model_is_answered_or_refused(case, url):
    if isinstance(case.body, dict):
        case.body["model"] = "fake"
    case.call_and_validate(
        base_url=url,
        checks=[check for check in CHECKS if check is not negative_data_rejection],
    )


def test_all_operations_are_described():
    paths = build_app(fake_model()).openapi()["paths"]
    assert set(paths) == {
        "/health",
        "/metrics",
        "/v1/models",
        "/v1/models/{name}",
        "/v1/chat/completions",
        "/v1/files",
        "/v1/files/{file_id}",
        "/v1/files/{file_id}/content",
        "/v1/pages",
        "/v1/pages/{position}",
    }
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["summary"], (path, method)
            assert "422" not in operation["responses"], (path, method)


@pytest.mark.parametrize("module", ["leopard.serving.app", "leopard.serving.run"])
def test_serving_loads_no_torch(module):
    code = (
        f"import sys, {module}\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
