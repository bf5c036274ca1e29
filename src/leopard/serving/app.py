"""The application: routes, guard, start and end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from fastapi import APIRouter, FastAPI, Request, Response

import leopard
from leopard.serving import chat, files, site
from leopard.serving.errors import ErrorBody, add_error_handlers
from leopard.serving.guard import Guard
from leopard.serving.keys import ApiKeys
from leopard.serving.schemas import Health, Model, ModelList
from leopard.serving.service import ServedModel, Service
from leopard.serving.settings import ServingSettings

router = APIRouter(responses={"4XX": {"model": ErrorBody}})


def build_app(
    model: ServedModel, settings: ServingSettings | None = None, keys: ApiKeys | None = None
) -> FastAPI:
    """The server as an ASGI application.

    Args:
        model: What answers.
        settings: Limits; safe ones by default.
        keys: API keys; open without.
    """
    settings = settings or ServingSettings()
    service = Service(model, settings, keys or ApiKeys())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="leopard",
        version=leopard.__version__,
        summary="Answers questions over many text-rich images; OpenAI-compatible.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.service = service
    add_error_handlers(app)
    for part in (router, chat.router, files.router, site.router):
        app.include_router(part)
    app.mount("/static", site.static_files(), name="static")
    app.add_middleware(Guard, settings=settings, keys=service.keys, metrics=service.metrics)
    return app


@router.get("/health", responses={503: {"model": Health}}, tags=["operation"])
async def health(request: Request, response: Response) -> Health:
    """Whether questions are answered; 503 when not."""
    service: Service = request.app.state.service
    admission = service.admission
    alive: Literal["ok", "failed"] = "ok" if service.worker.is_alive else "failed"
    if admission.is_closed or alive != "ok":
        response.status_code = 503
    return Health(
        status="stopping" if admission.is_closed else alive,
        model=service.model_name,
        version=leopard.__version__,
        running=service.worker.num_running,
        waiting=admission.num_waiting,
    )


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}}},
    tags=["operation"],
)
async def metrics(request: Request) -> Response:
    """Counts and times for Prometheus."""
    service: Service = request.app.state.service
    return Response(service.metrics.render(), media_type="text/plain; version=0.0.4; charset=utf-8")


@router.get("/v1/models", tags=["openai"])
async def list_models(request: Request) -> ModelList:
    """The model that is served."""
    return ModelList(data=[_model(request.app.state.service)])


@router.get("/v1/models/{name:path}", tags=["openai"])
async def get_model(request: Request, name: str) -> Model:
    """The model, by its name."""
    service: Service = request.app.state.service
    service.check_model(name)
    return _model(service)


def _model(service: Service) -> Model:
    return Model(id=service.model_name, created=service.created_at)
