"""The model `tritone`: the models of this server and their states, for gateways."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from adapters.companions.document_watch import PARAMETER, DocumentWatch
from adapters.triton.instance import Instance
from adapters.triton.metrics import Metrics
from adapters.triton.responses import response_of, send_error, send_final
from tritone.contract import ServerOptions
from tritone.errors import InvalidInput
from tritone.forgotten_voices import forget
from tritone.initialized import mark_initialized
from tritone.served import ServedDocument
from tritone.wanted import want


class TritonPythonModel:
    """Send the document that the supervisor writes, at once or when it changes.

    The config parameter `document` is the file's path. Without it, and before the file is there, the document is empty
    and its state `starting`.
    """

    def initialize(self, args: Mapping[str, str]) -> None:
        """Start to watch the file."""
        instance = Instance.from_args(args)
        path = instance.parameters.get(PARAMETER)
        self._path = Path(path) if path else None
        self._watch = DocumentWatch(self._path)
        self._run_folder = instance.run_folder
        self._metrics = Metrics(instance.model, "companion")
        mark_initialized()

    def execute(self, requests: Sequence[Any]) -> None:
        """Answer each request at once, or leave it to the watch."""
        for request in requests:
            sender, request_id = request.get_response_sender(), request.request_id()
            try:
                options = ServerOptions.from_parameters(json.loads(request.parameters() or "{}"))
                if options.load:
                    self._want(options.load)
                if options.forget_voice:
                    self._forget(options.forget_voice)
                self._watch.add(
                    options.version, options.wait_seconds, partial(_respond, sender, request_id), sender.is_cancelled
                )
            except Exception as error:
                self._metrics.error(error)
                send_error(sender, error, request_id)

    def finalize(self) -> None:
        """Answer the waiting requests and stop."""
        self._watch.close()
        self._metrics.close()

    def _want(self, model: str) -> None:
        served = [each.id for each in self._watch.read().models]
        if self._path is None or model not in served:
            raise InvalidInput("load", f"{model!r} is not served here; choose from: {', '.join(served) or '-'}")
        want(self._path, model)

    def _forget(self, key: str) -> None:
        if self._run_folder is None:
            raise InvalidInput("forget_voice", "this server has no supervisor; voices expire after VOICE_KEY_SECONDS")
        forget(self._run_folder, key)


def _respond(sender: Any, request_id: str, document: ServedDocument) -> None:
    send_final(sender, response_of({"document": [document.to_json().encode()]}), request_id)
