"""A stand-in for AWS, one for all tests here, and one for a language model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from tests.stand_ins.aws import Aws, aws_server
from tests.stand_ins.language_model import LanguageModelServer


@pytest.fixture(scope="session")
def _aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with aws_server(tmp_path_factory.mktemp("aws") / "moto.log") as server:
        yield server


@pytest.fixture
def aws(_aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    for name, value in _aws.variables.items():
        monkeypatch.setenv(name, value)
    return _aws


@pytest.fixture
def bucket(aws: Aws) -> str:
    """A new bucket."""
    return aws.bucket(f"results-{uuid4().hex[:12]}")


@pytest.fixture
def notices(aws: Aws) -> str:
    """A new queue."""
    return aws.queue(f"notices-{uuid4().hex[:12]}")


@pytest.fixture
async def llm() -> AsyncIterator[LanguageModelServer]:
    async with LanguageModelServer(words=["Good", " morning.", " It is", " sunny."]).serving() as server:
        yield server
