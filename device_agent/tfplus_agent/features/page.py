"""A page to draw on, served by the device itself: answers, corrections, sending and fetching."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import numpy as np

from tfplus.errors import RemoteError, TfplusError, UsageError
from tfplus.wire import tls as wire_tls
from tfplus_agent.features import kept as kept_features
from tfplus_agent.features.answers import Answers
from tfplus_agent.features.kept import Kept

_MAX_BODY_BYTES = 1 << 20
_HTML = Path(__file__).with_name("page.html")
_TIMEOUT_S = 30.0

# Sends and fetches; returns what the page shows of it.
Exchange = Callable[[], Mapping[str, Any]]


class Page:
    """Serves a page on one address.

    Args:
      kept: the model's open cache.
      answers: the model.
      exchange: None where there is no server.
      listen: `host:port`; plaintext, so that it is loopback unless `insecure`.
      insecure: also where others can listen.

    Raises:
      RemoteError: nothing can listen on that address.
      UsageError: the model takes no square images of one channel, or the address is not loopback.
    """

    def __init__(
        self,
        kept: Kept,
        answers: Answers,
        exchange: Exchange | None,
        listen: str,
        *,
        insecure: bool = False,
    ) -> None:
        shape = answers.shape
        if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 1:
            raise UsageError(
                f"{kept.read.manifest.name}: takes {list(shape)}: expected square images [s, s, 1]"
            )
        host, port = wire_tls.split_address(listen)
        wire_tls.require_loopback_or_insecure(host, insecure)
        self._kept, self._answers, self._exchange = kept, answers, exchange
        scale = kept.read.manifest.preprocessing.scale
        setup = {
            "size": shape[0],
            "ink": min(255, round(1 / scale)) if scale else 255,
            "labels": list(answers.labels),
            "server": exchange is not None,
        }
        self._html = _HTML.read_text("utf-8").replace("/*SETUP*/null", json.dumps(setup)).encode()
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(self))
        except OSError as error:
            raise RemoteError(f"cannot listen on {listen}: {error.strerror}") from None
        self._server.daemon_threads = True
        self.address = f"{host}:{self._server.server_address[1]}"

    def serve(self) -> None:
        """Serves until `stop` is called, or a signal comes."""
        self._server.serve_forever(0.2)

    def stop(self) -> None:
        """Ends `serve`, which runs in another thread."""
        self._server.shutdown()

    def close(self) -> None:
        """Frees the address."""
        self._server.server_close()

    def html(self) -> bytes:
        """The page."""
        return self._html

    def call(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answers a call of the page.

        Raises:
          TfplusError: it cannot be answered.
        """
        if path == "/answer":
            found = self._answers.of(self._sample(body))
            return vars(found)
        if path == "/correct":
            label = body.get("label")
            if not isinstance(label, int) or isinstance(label, bool):
                raise UsageError("expected a label")
            self._answers.correct(self._sample(body), label)
            return self._answers.locked(lambda: kept_features.counts(self._kept))
        if path == "/exchange" and self._exchange is not None:
            told = self._answers.locked(self._exchange)
            self._answers.reload()
            return told
        raise UsageError(f"{path}: no such call")

    def _sample(self, body: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        pixels = body.get("pixels")
        shape = self._answers.shape
        if not isinstance(pixels, list) or len(cast("list[Any]", pixels)) != shape[0] * shape[1]:
            raise UsageError(f"expected {shape[0] * shape[1]} pixels")
        given = cast("list[Any]", pixels)
        if not all(isinstance(p, int) and 0 <= p <= 255 for p in given):
            raise UsageError("expected pixels of 0 to 255")
        return np.asarray(given, np.uint8).reshape(shape)


def _handler(page: Page) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def do_GET(self) -> None:
            if self.path != "/":
                self._answer(HTTPStatus.NOT_FOUND, b"{}", "application/json")
                return
            self._answer(HTTPStatus.OK, page.html(), "text/html; charset=utf-8")

        def do_POST(self) -> None:
            try:
                # A page of another origin cannot send this type without being asked for leave.
                if self.headers.get_content_type() != "application/json":
                    raise UsageError("expected application/json")
                length = int(self.headers.get("Content-Length", "-1"))
                if not 0 <= length <= _MAX_BODY_BYTES:
                    raise UsageError(f"expected a body of at most {_MAX_BODY_BYTES} bytes")
                body: Any = json.loads(self.rfile.read(length))
                if not isinstance(body, dict):
                    raise UsageError("expected an object")
                told = page.call(self.path, cast("dict[str, Any]", body))
                status = HTTPStatus.OK
            except (TfplusError, ValueError, RecursionError) as error:
                told, status = {"error": str(error)}, HTTPStatus.BAD_REQUEST
            self._answer(status, json.dumps(told).encode(), "application/json")

        def _answer(self, status: HTTPStatus, content: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing: what is drawn is nobody's business."""

    return Handler
