"""The page for people at `/`, and what it asks for besides the OpenAI interface."""

from __future__ import annotations

import asyncio
import io
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles

from leopard.schema.pages import Page
from leopard.serving.errors import ApiError, ErrorBody
from leopard.serving.planning import view_pages
from leopard.serving.schemas import PagesView
from leopard.serving.service import Service

MOST_FILES = 64
PICTURE_SIDE_PX = 1200
_STATIC = files("leopard.serving") / "static"

router = APIRouter(
    tags=["page"], responses={"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}}
)

FileIds = Annotated[
    list[Annotated[str, Query(max_length=64)]],
    Query(alias="file", min_length=1, max_length=MOST_FILES),
]
Wanted = Annotated[str, Query(max_length=1000)]


def static_files() -> StaticFiles:
    """The page's scripts and styles."""
    return StaticFiles(directory=str(_STATIC))


@router.get("/", response_class=HTMLResponse, include_in_schema=False)
async def index() -> FileResponse:
    """The page."""
    return FileResponse(str(_STATIC / "index.html"), headers={"Cache-Control": "no-cache"})


@router.get("/favicon.ico", include_in_schema=False)
async def favicon() -> FileResponse:
    """The page's icon."""
    return FileResponse(str(_STATIC / "icon.svg"), media_type="image/svg+xml")


@router.get("/v1/pages")
async def list_pages(request: Request, file: FileIds, pages: Wanted = "") -> PagesView:
    """The pages of uploaded documents as the model will be shown them: tiles, visual tokens."""
    service: Service = request.app.state.service
    found = await _pages(request, file, pages)
    return view_pages(found, service.model.planner([page.size for page in found]))


@router.get(
    "/v1/pages/{position}",
    response_class=Response,
    responses={200: {"content": {"image/webp": {}}}},
)
async def draw_page(
    request: Request,
    position: Annotated[int, Path(ge=1, le=100_000)],
    file: FileIds,
    pages: Wanted = "",
) -> Response:
    """One of these pages as a picture; positions are counted from 1."""
    found = await _pages(request, file, pages)
    if position > len(found):
        raise ApiError(404, f"there is no page {position}; there are {len(found)}")
    data = await asyncio.to_thread(_picture, found[position - 1])
    return Response(data, media_type="image/webp", headers={"Cache-Control": "private"})


async def _pages(request: Request, file_ids: list[str], wanted: str) -> list[Page]:
    service: Service = request.app.state.service
    stored = [service.store.get(name, owner=request.state.owner) for name in file_ids]
    place = await service.drawing.enter()
    try:
        drawn = await service.pages.read([file.content for file in stored], wanted)
    finally:
        place.leave()
    return [page for pages in drawn for page in pages]


def _picture(page: Page) -> bytes:
    small = page.image.copy()
    small.thumbnail((PICTURE_SIDE_PX, PICTURE_SIDE_PX))
    stream = io.BytesIO()
    small.save(stream, format="WEBP", quality=85, method=2)
    return stream.getvalue()
