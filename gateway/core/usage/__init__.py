"""The usage of each client: requests, characters and seconds of audio, by minute and model."""
