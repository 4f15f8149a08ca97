"""The errors of the use cases; gateway/errors.py maps them to HTTP.

InvalidInput (tritone.errors)   a field of the request is wrong
ServiceError
|-- ModelNotFound               no server is configured to serve the model
|-- ModelUnavailable            the model is at capacity, loading or out of reach; try again later
|   |-- ModelAtCapacity         the model itself accepts no more requests
|   |-- ModelTooSlow            the model has so much work that the request would be too late
|   |-- ModelNotLoaded          its server has unloaded it, or lost its process
|   `-- ServerUnreachable       the connection to its server failed
|-- TooManyRequests             this caller has its share of the model already
|-- DeadlineExceeded            the time of the request, or of a part of it, has passed
|-- PayloadTooLarge             an upload, or the audio in it, is over a limit
|-- LanguageModelMissing        no language model is set up
|-- LanguageModelFailed         the language model is out of reach, or answered with an error
|-- LanguageModelBusy           the language model accepts no more requests at present; try again later
|-- LanguageModelRefused        the language model, or its filter, does not answer this prompt
|-- LanguageModelRejected       the language model's server finds a field of the client's wrong
|-- ContextExceeded             the text is longer than the language model's context
|-- JobNotFound                 there is no such job of this client
|-- JobConflict                 the job's state, or an earlier request, does not allow it
|-- JobsUnavailable             the store of the jobs is out of reach; try again later
|-- ResultsUnavailable          the bucket of the results, or the queue of their notices, is out of reach
|-- StorageFull                 the disk for the jobs has no room
|-- VoiceNotFound               there is no such registered voice, or consent, of this client
|-- VoiceConflict               another voice, or the limit of voices, does not allow it
|-- VoicesUnavailable           the store of the voices is out of reach; try again later
|-- UsageUnavailable            the store of the usage is out of reach; try again later
`-- InternalError               a fault of the server
    `-- VoiceNotHeld            the model does not hold the voice of a key; send its recording
"""

from __future__ import annotations


class ServiceError(Exception):
    """Base of these errors; `message` is for the client, `detail` for the log alone."""

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail


class ModelNotFound(ServiceError):
    """No server is configured to serve the model; the message lists the models that are served."""


class ModelUnavailable(ServiceError):
    """The model is at capacity, loading or out of reach.

    `retry_after`: the estimated seconds until it is available; None: unknown.
    """

    cause = "model_unavailable"
    """For the metrics."""

    def __init__(self, message: str, *, retry_after: int | None = None, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class ModelAtCapacity(ModelUnavailable):
    """The model itself accepts no more requests at present."""

    cause = "model_at_capacity"


class ModelTooSlow(ModelUnavailable):
    """The model has so much work that a request would be too late."""

    cause = "model_too_slow"


class ModelNotLoaded(ModelUnavailable):
    """The model's server has unloaded it, or lost its process."""

    cause = "model_not_loaded"


class ServerUnreachable(ModelUnavailable):
    """The connection to the model's server failed."""

    cause = "server_unreachable"


class TooManyRequests(ServiceError):
    """This caller has its share of the model already; `retry_after`: estimated seconds until it may have more."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = max(1, round(retry_after))


class DeadlineExceeded(ServiceError):
    """The time of the request, or of a part of it, has passed."""


class PayloadTooLarge(ServiceError):
    """The upload in `field`, or the audio in it, is over a limit."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class LanguageModelMissing(ServiceError):
    """No language model is set up; the message names the setting."""


class LanguageModelFailed(ServiceError):
    """The language model is out of reach, or answered with an error."""


class LanguageModelBusy(ServiceError):
    """The language model accepts no more requests at present; `retry_after`: seconds, as its server says."""

    def __init__(self, message: str, retry_after: int | None = None, *, detail: str = "") -> None:
        super().__init__(message, detail=detail)
        self.retry_after = retry_after


class LanguageModelRefused(ServiceError):
    """The language model refused to answer, or a filter ended its answer."""


class LanguageModelRejected(ServiceError):
    """The language model's server finds a field wrong that the client sent; it names it `field`, or none."""

    def __init__(self, message: str, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


class ContextExceeded(ServiceError):
    """The messages and the answer's tokens do not fit the language model's context."""


class JobNotFound(ServiceError):
    """There is no such job of this client; it may have expired."""


class JobConflict(ServiceError):
    """The job's state, or an earlier request with the same key, does not allow the request."""


class JobsUnavailable(ServiceError):
    """The store of the jobs is out of reach."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("the store of the jobs is out of reach at present; try again", detail=detail)


class ResultsUnavailable(ServiceError):
    """The bucket of the results, or the queue of their notices, is out of reach."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("the store of the results is out of reach at present; try again", detail=detail)


class StorageFull(ServiceError):
    """The disk for the jobs has no room."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("there is no room for this job on the server's disk; try again later", detail=detail)


class VoiceNotFound(ServiceError):
    """There is no such registered voice, or consent, of this client."""


class VoiceConflict(ServiceError):
    """Another voice, or the limit of voices, does not allow the request; `field` names the field that is wrong."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class VoicesUnavailable(ServiceError):
    """The store of the voices is out of reach."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("the store of the voices is out of reach at present; try again", detail=detail)


class UsageUnavailable(ServiceError):
    """The store of the usage is out of reach."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("the store of the usage is out of reach at present; try again", detail=detail)


class InternalError(ServiceError):
    """A fault of the server; the client gets a general message."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("the server failed on this request; its log says why", detail=detail)


class VoiceNotHeld(InternalError):
    """The model does not hold the voice of a `voice_key`, and has done nothing: its recording must be sent.

    A fault only where a client gets to see it.
    """
