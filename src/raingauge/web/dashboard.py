"""The dashboard: one page, built by `make dashboard` into `static/dashboard`, served from memory.

/                    index.html for a browser          revalidated by ETag
/agents, /loops/17   index.html: the page reads the address itself
/assets/<name>       hashed names, so they may be kept for ever
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from raingauge.contract import Reason, Refused

ROOT: Final = Path(__file__).parent / "static" / "dashboard"
SCREENS: Final = ("/agents", "/loops", "/flags", "/product", "/system", "/settings")
"""First parts of the addresses that the page understands besides `/`."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_ASK_AGAIN: Final = "no-cache"


@dataclass(frozen=True, slots=True)
class File:
    """One file of the build. `gzipped` is empty when it would not be smaller."""

    body: bytes
    gzipped: bytes
    media_type: str
    cache_control: str
    etag: str


class Dashboard:
    """All files of the build by path, or none when there is no build."""

    def __init__(self, files: Mapping[str, File]) -> None:
        self._files = files

    @classmethod
    def load(cls, root: Path = ROOT) -> Self:
        return cls(
            {
                f"/{path.relative_to(root).as_posix()}": _file(path, hashed=path.parent.name == "assets")
                for path in sorted(root.rglob("*"))
                if path.suffix in _TYPES
            }
        )

    @property
    def built(self) -> bool:
        return "/index.html" in self._files

    def page(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """The page itself. Raises Refused(NOT_FOUND) without a build."""
        return self.answer(request, "/index.html")

    def answer(self, request: Request[Any, Any, Any], path: str) -> Response[bytes]:
        """One file; 304 when the caller has it. Raises Refused(NOT_FOUND)."""
        file = self._files.get(path)
        if file is None:
            raise Refused(Reason.NOT_FOUND)
        headers = {
            # As a header: litestar adds a charset to a media type, also when it has one.
            "Content-Type": file.media_type,
            "Cache-Control": file.cache_control,
            "Content-Security-Policy": POLICY,
            "ETag": file.etag,
            "Vary": "Accept, Accept-Encoding",
            "X-Frame-Options": "DENY",
        }
        if request.headers.get("if-none-match") == file.etag:
            return Response(b"", status_code=304, headers=headers)
        body = file.body
        if file.gzipped and "gzip" in request.headers.get("accept-encoding", ""):
            body = file.gzipped
            headers["Content-Encoding"] = "gzip"
        return Response(body, status_code=200, headers=headers)


def wants_page(request: Request[Any, Any, Any]) -> bool:
    """Whether a browser asks for a page, not a program for data."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def handlers(dashboard: Dashboard) -> list[HTTPRouteHandler]:
    """Everything of the dashboard except `/`, which it shares with the health answer."""

    @get("/assets/{name:str}", include_in_schema=False)
    async def asset(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[bytes]:
        return dashboard.answer(request, f"/assets/{name}")

    @get(["/theme.js", "/icon.svg"], include_in_schema=False)
    async def root_file(request: Request[Any, Any, Any]) -> Response[bytes]:
        return dashboard.answer(request, request.url.path)

    @get([*SCREENS, *(f"{screen}/{{rest:path}}" for screen in SCREENS)], include_in_schema=False)
    async def deep_link(request: Request[Any, Any, Any]) -> Response[bytes]:
        if not wants_page(request):
            raise Refused(Reason.NOT_FOUND)
        return dashboard.page(request)

    return [asset, root_file, deep_link]


def _file(path: Path, *, hashed: bool) -> File:
    body = path.read_bytes()
    beside = path.with_name(path.name + ".gz")
    return File(
        body=body,
        gzipped=beside.read_bytes() if beside.exists() else b"",
        media_type=_TYPES[path.suffix],
        cache_control=_FOR_EVER if hashed else _ASK_AGAIN,
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
    )
