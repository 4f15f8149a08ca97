"""OpenAI's Realtime sessions over WebRTC: audio on tracks, events on a data channel. It needs the package aiortc."""
