"""Keeps the server from fetching anything for a visitor: gradio would, where a file is given as an address of the web."""

from __future__ import annotations

import json

_LARGEST = 2_000_000  # bytes of a request that is no upload
_REFUSAL = "Addresses are not fetched here, expected a file; upload it."
_TOO_LARGE = f"The request has more than {_LARGEST:,} bytes, expected fewer; upload files instead of sending them inside."


class Guard:
    """ASGI middleware: refuses addresses in the place of files, and large requests other than uploads."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        path = scope.get("path", "")
        if scope["type"] != "http" or path.endswith("/upload"):
            return await self.app(scope, receive, send)
        if "file=http" in path or "/proxy=" in path:
            return await _refuse(send, _REFUSAL)
        if scope["method"] != "POST":
            return await self.app(scope, receive, send)
        body = await _body(receive)
        if body is None:
            return await _refuse(send, _TOO_LARGE)
        if _has_address(body):
            return await _refuse(send, _REFUSAL)
        read = False

        async def replay():
            nonlocal read
            if read:
                return await receive()
            read = True
            return {"type": "http.request", "body": body, "more_body": False}

        return await self.app(scope, replay, send)


async def _body(receive) -> bytes | None:
    """All of it, None where it is too large."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
        if len(body) > _LARGEST:
            return None
    return body


def _has_address(body: bytes) -> bool:
    """Whether a file of the request, {"path": …}, is anywhere but in a folder."""
    try:
        waiting = [json.loads(body or b"null")]
    except (ValueError, RecursionError):
        return False  # gradio refuses it
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if "://" in str(value.get("path", "")):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


async def _refuse(send, sentence: str) -> None:
    content = json.dumps({"detail": sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": content})
