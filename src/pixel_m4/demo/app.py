"""The web application: the page, and the API behind bounds of size, time and queue."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from anyio import fail_after
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixel_m4.console.errors import UserError
from pixel_m4.demo.answers import Answers, check_text
from pixel_m4.demo.models import Models
from pixel_m4.demo.pool import Full, Pool
from pixel_m4.demo.schemas import LONGEST, LONGEST_EXPLAINED, MOST_TEXTS, Endpoint, endpoints, openapi
from pixel_m4.demo.sentences import EXAMPLES, Example
from pixel_m4.render.fonts import find_font
from pixel_m4.render.losses import untold
from pixel_m4.render.strategies import STRATEGIES

MOST_BYTES = 256 * 1024  # of a request
MOST_WAITING = 512  # texts in the queue
MOST_OF_CLIENT = 64
SECONDS_TO_SEND, SECONDS_TO_ANSWER = 10.0, 30.0
_RETRY = "1"
_GONE = "the client has gone"

logger = logging.getLogger(__name__)


class Refused(Exception):
    """A request that gets no answer but a status and a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class SafeHeaders:
    """Adds headers that keep browsers from loading anything from elsewhere, and others from embedding us.

    Args:
        app: What answers.
        frame_ancestors: Sites that may show the page in a frame.
    """

    def __init__(self, app: ASGIApp, frame_ancestors: Sequence[str] = ()) -> None:
        self.app = app
        self.headers = {
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
            "img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
            f"frame-ancestors {' '.join(frame_ancestors) or chr(39) + 'none' + chr(39)}",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
            "Cache-Control": "no-cache",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, with the headers."""

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self.headers)
            await send(message)

        await self.app(scope, receive, send_safely)


def create_app(
    models: Models,
    sentences: list[Example],
    *,
    allowed_hosts: Sequence[str],
    threads: int,
    frame_ancestors: Sequence[str] = (),
    warm: bool = True,
) -> Starlette:
    """The application.

    Args:
        models: What it serves.
        sentences: To search for the nearest ones.
        allowed_hosts: Names that the Host header may have, so that no other site can reach this one through a
            name of its own; "*" for any.
        threads: Texts that are worked on at the same time.
        frame_ancestors: Sites that may show the page in a frame.
        warm: Do once, in the background, what would make the first answers slow.
    """
    answers = Answers(models, sentences)
    pool = Pool(threads, MOST_WAITING, MOST_OF_CLIENT)
    asked = endpoints(models, answers)
    about = _about(models, sentences)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if warm:
            pool.submit("", [answers.warm_up])
        with untold():  # the page tells, and nobody's characters are to be seen in the terminal
            yield
        pool.close()

    font = find_font()
    routes = [
        *(Route(f"/api/{each.name}", _answering(each, pool), methods=["POST"]) for each in asked),
        Route("/api/info", _saying(about)),
        Route("/api/openapi.json", _saying(openapi(asked))),
        Route("/font.ttf", partial(_font, font)),
        Mount("/", StaticFiles(packages=[("pixel_m4.demo", "static")], html=True)),
    ]
    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[
            Middleware(SafeHeaders, frame_ancestors=frame_ancestors),
            Middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts), www_redirect=False),
        ],
    )
    app.state.pool = pool
    return app


def _about(models: Models, sentences: list[Example]) -> dict[str, Any]:
    """What the page needs to know first."""
    return {
        "models": [
            {
                "name": name,
                "task": model.task,
                "strategy": model.renderer.strategy,
                "patches": model.renderer.max_seq_length,
                "layers": model.states.layers,
            }
            for name, model in models.served.items()
        ],
        "strategies": list(STRATEGIES),
        "attacks": models.attacks,
        "methods": models.methods,
        "examples": [each._asdict() for each in EXAMPLES],
        "sentences": len(sentences),
        "languages": sorted({each.language for each in sentences}),
        "limits": {"texts": MOST_TEXTS, "characters": LONGEST, "characters_explained": LONGEST_EXPLAINED},
    }


def _saying(document: Any) -> Callable[[Request], Any]:
    async def say(request: Request) -> Response:
        return JSONResponse(document)

    return say


async def _font(path: Path, request: Request) -> Response:
    """The font of the renderer, for characters that the reader's machine has no font for."""
    return FileResponse(path, media_type="font/ttf", headers={"Cache-Control": "max-age=86400"})


def _answering(endpoint: Endpoint, pool: Pool) -> Callable[[Request], Any]:
    """The handler of an endpoint."""

    async def answer(request: Request) -> Response:
        try:
            asked = endpoint.checked(await _read(request))
            for text in asked["texts"]:
                check_text(text)
            works: list[Callable[[], Any]] = [partial(endpoint.call, text, asked) for text in asked["texts"]]
            client = request.client.host if request.client else ""
            return JSONResponse({"results": await _wait(request, pool.submit(client, works))})
        except Full:
            message = "the server has enough to do; ask again in a second"
            return JSONResponse({"error": message}, 429, headers={"Retry-After": _RETRY})
        except Refused as error:
            return JSONResponse({"error": str(error)}, error.status)
        except UserError as error:
            return JSONResponse({"error": str(error)}, 422)
        except Exception:
            logger.exception("/api/%s", endpoint.name)
            return JSONResponse({"error": "this is an error of the program"}, 500)

    return answer


async def _read(request: Request) -> Any:
    """The JSON of a request.

    Raises:
        Refused: It is of another kind, too large, too slow, or no JSON.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "Content-Type must be application/json")  # what no form of another site can send
    body = bytearray()
    try:
        with fail_after(SECONDS_TO_SEND):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    raise Refused(413, f"a request may have {MOST_BYTES:,} bytes")
    except ClientDisconnect:
        raise Refused(499, _GONE) from None
    except TimeoutError:
        raise Refused(408, f"the request took longer than {SECONDS_TO_SEND:g} seconds to come") from None
    try:
        return json.loads(body, parse_float=_number)
    except (ValueError, RecursionError):
        raise Refused(400, "the request is no JSON in UTF-8") from None


def _number(text: str) -> int | float:
    """A number that is written with a point; JSON Schema takes 3.0 for an integer."""
    value = float(text)
    return int(value) if value.is_integer() else value


async def _wait(request: Request, futures: list[asyncio.Future[Any]]) -> list[Any]:
    """The results, unless it takes too long or nobody waits any more; what has not begun never begins then.

    Raises:
        Refused: It took too long, or the client has gone.
    """
    results = asyncio.gather(*futures)
    results.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may wait for it
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        waited: set[asyncio.Future[Any]] = {results, gone}
        await asyncio.wait(waited, timeout=SECONDS_TO_ANSWER, return_when=asyncio.FIRST_COMPLETED)
        if results.done():
            return results.result()
        if gone.done():
            raise Refused(499, _GONE)
        raise Refused(503, f"no answer after {SECONDS_TO_ANSWER:g} seconds")
    finally:
        gone.cancel()
        for future in futures:
            future.cancel()
        results.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
