"""OpenAI's API: speech, transcriptions, translations, chat, live transcription, voices and lists; and jobs."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from gateway.openai.chat.router import router as chat
from gateway.openai.field_names import FIELD_NAMES
from gateway.openai.jobs.router import router as jobs
from gateway.openai.live_translation.router import PATH as TRANSLATIONS_PATH
from gateway.openai.live_translation.router import router as live_translation
from gateway.openai.models.router import LIST_PATHS
from gateway.openai.models.router import router as models
from gateway.openai.realtime.client_secrets import router as client_secrets
from gateway.openai.realtime.router import PATH
from gateway.openai.realtime.router import router as realtime
from gateway.openai.response_headers import IGNORED, MODEL
from gateway.openai.speech.router import router as speech
from gateway.openai.speech.serving import SAMPLE_RATE, SUMMARY_HEADERS
from gateway.openai.speech_stream.router import router as speech_stream
from gateway.openai.transcription.router import router as transcription
from gateway.openai.usage.router import PATHS as USAGE_PATHS
from gateway.openai.usage.router import router as usage
from gateway.openai.voices.router import router as voices
from gateway.openai.webrtc.calls import open_calls
from gateway.openai.webrtc.router import PATH as CALLS_PATH
from gateway.openai.webrtc.router import router as calls
from gateway.surfaces import Surface

_router = APIRouter(lifespan=open_calls)
_live = (realtime, live_translation, calls, client_secrets)
for _part in (speech, speech_stream, transcription, chat, jobs, *_live, models, voices, usage):
    _router.routes += _part.routes  # an included router is searched three times for each request

SURFACE: Final = Surface(
    _router,
    open_paths=USAGE_PATHS,  # they need the administrator's key
    list_paths=LIST_PATHS,
    secret_paths=frozenset({PATH, CALLS_PATH, TRANSLATIONS_PATH}),
    exposed_headers=("location", MODEL, IGNORED, SAMPLE_RATE, *SUMMARY_HEADERS),
    field_names=FIELD_NAMES,
    notes="`/v1/realtime` is a WebSocket: live transcription or conversations in the events of OpenAI's Realtime API, "
    "with the query parameter `model`; `POST /v1/realtime/calls` is the same over WebRTC. "
    "`/v1/realtime/translations` is a WebSocket that translates live speech into English text and speech. "
    "`/v1/audio/speech/stream` is a WebSocket, too: text in as it is written, speech "
    "out. A browser sends its key in the subprotocol `openai-insecure-api-key.KEY`.",
)
