"""`helm test`: speaks a sentence through the gateway, and lets its models transcribe it."""

import json
import os
import urllib.request
import uuid

gateway, text, word = os.environ["GATEWAY"], os.environ["TEXT"], os.environ["WORD"]
key = os.environ.get("API_KEYS", "").split(",")[0]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(path: str, body: bytes | None = None, content_type: str = "application/json") -> bytes:
    """Send a request to the gateway, and return the body of its response."""
    headers = {"content-type": content_type, "authorization": f"Bearer {key}"}
    request = urllib.request.Request(gateway + path, body, headers)  # noqa: S310 - the chart's own address
    with opener.open(request, timeout=120) as response:
        content: bytes = response.read()
        return content


models = json.loads(call("/v1/models"))["data"]
print("models:", ", ".join(model["id"] for model in models))
speech = json.dumps({"model": "tts-1", "voice": "alloy", "input": text, "response_format": "wav"})
audio = call("/v1/audio/speech", speech.encode())
print("spoken:", len(audio), "bytes")
boundary = uuid.uuid4().hex
parts = (
    f'--{boundary}\r\ncontent-disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="speech.wav"\r\n\r\n'
)
form = parts.encode() + audio + f"\r\n--{boundary}--\r\n".encode()
heard = json.loads(call("/v1/audio/transcriptions", form, f"multipart/form-data; boundary={boundary}"))["text"]
print("heard:", heard)
assert word.lower() in heard.lower(), f"{word!r} is not in {heard!r}"
