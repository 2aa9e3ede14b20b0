"""A server on the loopback that answers as OpenAI and Anthropic do, and keeps what it was sent."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

ANSWER = "We are on it."
LABEL = {"intent": "refund"}


class Provider:
    """Both providers' endpoints until `close`; each connection serves one request."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        #: Answers before the usual ones: status, error message, and the parameter that it is about.
        self.refusals: list[tuple[int, str] | tuple[int, str, str]] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                provider.requests.append(body)
                if provider.refusals:
                    status, message, *param = provider.refusals.pop(0)
                    error = {"type": "invalid_request_error", "message": message}
                    if param:
                        error["param"] = param[0]
                    return self._send(
                        status, "application/json", json.dumps({"type": "error", "error": error})
                    )
                is_anthropic = self.path.endswith("/messages")
                message = anthropic_message(body) if is_anthropic else openai_message(body)
                if not body.get("stream"):
                    return self._send(200, "application/json", json.dumps(message))
                events = anthropic_events(message) if is_anthropic else openai_events(message)
                return self._send(200, "text/event-stream", events)

            def _send(self, status: int, kind: str, text: str) -> None:
                data = text.encode()
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def texts(body: dict[str, Any]) -> list[tuple[str, str]]:
    """Role and text of each message of a request, the system prompt first."""
    found = [("system", content) for content in [body.get("system")] if content]
    found += [(message["role"], message.get("content") or "") for message in body["messages"]]
    return [(role, content if isinstance(content, str) else _text(content)) for role, content in found]


def _text(blocks: list[dict[str, Any]]) -> str:
    return "".join(block.get("text", "") for block in blocks)


def _wants_tool(body: dict[str, Any]) -> bool:
    """The model calls its first tool, unless it has just been told what one gave."""
    last = body["messages"][-1]
    blocks = last["content"] if isinstance(last.get("content"), list) else []
    told = last["role"] == "tool" or any(block.get("type") == "tool_result" for block in blocks)
    return bool(body.get("tools")) and not told


def openai_message(body: dict[str, Any]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": ANSWER, "refusal": None}
    if "response_format" in body:
        message["content"] = json.dumps(LABEL)
    elif _wants_tool(body):
        function = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps(LABEL)}
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        message["content"] = None
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": body["model"],
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    }


def openai_events(message: dict[str, Any]) -> str:
    text = message["choices"][0]["message"]["content"]
    chunk = {key: message[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
    deltas = [{"role": "assistant", "content": text[:4]}, {"content": text[4:]}]
    lines = [{**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    lines.append({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    return "".join(f"data: {json.dumps(line)}\n\n" for line in lines) + "data: [DONE]\n\n"


def anthropic_message(body: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "text", "text": ANSWER}
    if _wants_tool(body):
        content = {"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"], "input": LABEL}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": [content],
        "stop_reason": "tool_use" if content["type"] == "tool_use" else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 3},
    }


def anthropic_events(message: dict[str, Any]) -> str:
    text = message["content"][0]["text"]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    events += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
        for piece in (text[:4], text[4:])
    ]
    events += [
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 3},
        },
        {"type": "message_stop"},
    ]
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
