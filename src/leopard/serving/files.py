"""`/v1/files`: documents that are asked about more than once."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, UploadFile
from fastapi.responses import FileResponse

from leopard.serving.errors import ApiError, ErrorBody
from leopard.serving.schemas import FileDeleted, FileList, FileObject
from leopard.serving.service import Service
from leopard.serving.store import StoredFile

router = APIRouter(
    tags=["openai"], responses={"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}}
)

Purpose = Literal["user_data", "vision", "assistants"]


@router.post("/v1/files")
async def upload(
    request: Request, file: UploadFile, purpose: Annotated[Purpose, Form()] = "user_data"
) -> FileObject:
    """Keep a document; it is opened and its pages are counted at once."""
    service: Service = request.app.state.service
    place = await service.drawing.enter()
    try:
        content = await asyncio.to_thread(service.store.save, file.file, file.filename or "file")
        try:
            num_pages = await service.pages.count(content)
        except BaseException:
            service.store.discard(content)
            raise
    finally:
        place.leave()
    stored = service.store.add(
        content, owner=request.state.owner, purpose=purpose, num_pages=num_pages
    )
    return _record(stored)


@router.get("/v1/files")
async def list_files(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    after: Annotated[str | None, Query(max_length=64)] = None,
    order: Literal["asc", "desc"] = "desc",
    purpose: Purpose | None = None,
) -> FileList:
    """The documents of this key, newest first unless asked otherwise."""
    service: Service = request.app.state.service
    files = service.store.list(owner=request.state.owner)
    if order == "asc":
        files.reverse()
    files = [file for file in files if purpose is None or file.purpose == purpose]
    names = [file.file_id for file in files]
    if after is not None:
        if after not in names:
            raise ApiError(404, f"there is no file {after!r} to go on after", param="after")
        files = files[names.index(after) + 1 :]
    page = [_record(file) for file in files[:limit]]
    return FileList(
        data=page,
        first_id=page[0].id if page else None,
        last_id=page[-1].id if page else None,
        has_more=len(files) > limit,
    )


@router.get("/v1/files/{file_id}")
async def get_file(request: Request, file_id: str) -> FileObject:
    """What is known of a document."""
    service: Service = request.app.state.service
    return _record(service.store.get(file_id, owner=request.state.owner))


@router.get(
    "/v1/files/{file_id}/content",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def get_content(request: Request, file_id: str) -> FileResponse:
    """The bytes of a document, as they came."""
    service: Service = request.app.state.service
    file = service.store.get(file_id, owner=request.state.owner)
    # Never a type that a browser would run.
    return FileResponse(file.path, media_type="application/octet-stream", filename=file.name)


@router.delete("/v1/files/{file_id}")
async def delete_file(request: Request, file_id: str) -> FileDeleted:
    """Delete a document."""
    service: Service = request.app.state.service
    service.store.delete(file_id, owner=request.state.owner)
    return FileDeleted(id=file_id)


def _record(file: StoredFile) -> FileObject:
    return FileObject(
        id=file.file_id,
        bytes=file.num_bytes,
        created_at=int(file.created_at),
        expires_at=int(file.expires_at),
        filename=file.name,
        purpose=file.purpose,
        num_pages=file.num_pages,
    )
