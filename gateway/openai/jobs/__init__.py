"""`/v1/audio/jobs`: transcriptions and long speech that go on without their client. OpenAI's API has no such routes."""
