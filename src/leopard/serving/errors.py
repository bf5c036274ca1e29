"""Errors as the OpenAI interface words them, and which of ours becomes which status."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from leopard.errors import CheckpointError, DocumentError, GenerationError, LeopardError

log = logging.getLogger("leopard.serving")

INTERNAL = "the server failed; its log says more"


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """Body of every answer that is an error."""

    error: ErrorDetail


class ApiError(HTTPException):
    """An answer that is an error.

    FastAPI lets HTTPExceptions through where it would otherwise make a 400 of them.

    Args:
        status: HTTP status.
        message: What, got, allowed, what to do.
        code: Short name for programs.
        param: The field that is wrong.
        retry_after_s: Seconds after which to try again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(status, message)
        self.retry_after_s = retry_after_s
        self.error = ErrorDetail(message=message, type=_type_of(status), param=param, code=code)

    @property
    def body(self) -> dict[str, Any]:
        """The body as plain values."""
        return ErrorBody(error=self.error).model_dump()

    def response(self) -> JSONResponse:
        """The answer."""
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status_code == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body, self.status_code, headers=headers)


def _type_of(status: int) -> str:
    names = {401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
    return names.get(status) or ("invalid_request_error" if status < 500 else "server_error")


def as_api_error(error: BaseException) -> ApiError:
    """The answer to any error; what is not the user's is logged and not told."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, DocumentError):
        where = "" if error.page is None else f", page {error.page}"
        message = f"{error.source}{where}: {error.cause}; {error.remedy}"
        return ApiError(400, message, code="bad_document")
    if isinstance(error, LeopardError) and not isinstance(error, GenerationError | CheckpointError):
        return ApiError(400, str(error), code=_snake(type(error).__name__))
    log.error("internal error", exc_info=error)
    return ApiError(500, INTERNAL, code="internal_error")


def _snake(name: str) -> str:
    words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
    return words.lstrip("_")


def add_error_handlers(app: FastAPI) -> None:
    """Give all errors the same body."""
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(ApiError, _on_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(LeopardError, _on_error)
    app.add_exception_handler(Exception, _on_error)


async def _on_validation_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"] if part != "body")
    # The value itself is left out: it may be megabytes, and is the user's.
    message = f"{place or 'body'}: {first['msg']}"
    return ApiError(400, message, param=place or None, code="invalid_request").response()


async def _on_http_exception(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    response = ApiError(error.status_code, str(error.detail)).response()
    response.headers.update(error.headers or {})
    return response


async def _on_error(_: Request, error: Exception) -> JSONResponse:
    return as_api_error(error).response()
