"""Routes of the files that pages load."""

from fastapi import APIRouter, Request, Response

from app.access.dependencies import GuardedRoute
from app.errors import NotFound
from app.pictures.routes import RENDERER
from app.web.assets import Asset, asset_of, assets

router = APIRouter(include_in_schema=False, route_class=GuardedRoute)
_FOR_GOOD = "public, max-age=31536000, immutable"
_DRAWING = "drawing.js"
_drawing: dict[str, Asset] = {}


@router.get("/static/{fingerprint}/{name}")
async def get_static_file(request: Request, fingerprint: str, name: str) -> Response:
    """A file of the pages. `drawing.js`, which draws the charts, comes with the renderer that draws the pictures."""
    if name == _DRAWING:
        if name not in _drawing:
            _drawing[name] = asset_of(name, await RENDERER.of(request).script())
        return _sent(request, _drawing[name], "public, max-age=86400")
    found = assets().get(name)
    if found is None:
        raise NotFound
    return _sent(request, found, _FOR_GOOD if found.fingerprint == fingerprint else "no-cache")


def _sent(request: Request, asset: Asset, caching: str) -> Response:
    headers = {"Cache-Control": caching, "Vary": "Accept-Encoding"}
    if asset.compressed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.media_type)
    return Response(asset.content, headers=headers, media_type=asset.media_type)
