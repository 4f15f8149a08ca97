"""A real S3 server of its own, SeaweedFS, on free ports of loopback."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import boto3
import httpx

from tests.ports import free_ports

_PROGRAM = Path(sys.executable).with_name("weed")
_KEY, _SECRET = "key-of-the-tests", "secret-of-the-tests"
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port")
_SETTINGS = (
    *("-filer", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.port.iceberg=0", "-s3.port.lance=0"),
    *("-master.volumeSizeLimitMB=64", "-volume.max=20", "-master.telemetry=false"),
)
_DEADLINE = 300.0


class SeaweedFs:
    """`with SeaweedFs() as server:` makes an empty server, and removes it at the end of the block."""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="seaweedfs-"))
        ports = free_ports(2 * len(_PORTS))
        names = (*_PORTS, *(f"{name}.grpc" for name in _PORTS))
        given = dict(zip(names, ports, strict=True))
        self.url = f"http://127.0.0.1:{given['s3.port']}"
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": _KEY, "secretKey": _SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        }
        config = self._folder / "s3.json"
        config.write_text(json.dumps({"identities": [identity]}))
        arguments = [f"-{name}={port}" for name, port in given.items()]
        with (self._folder / "log").open("w") as log:
            self._server = subprocess.Popen(
                [_PROGRAM, "server", f"-dir={self._folder}", f"-s3.config={config}", *_SETTINGS, *arguments],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.kill()
        self._server.wait()
        shutil.rmtree(self._folder)

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables with which a client reaches the server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
        }

    def add_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        self._client().create_bucket(Bucket=name)

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of all objects in a bucket."""
        return [found["Key"] for found in self._client().list_objects_v2(Bucket=bucket).get("Contents", ())]

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=_KEY,
            aws_secret_access_key=_SECRET,
            region_name="us-east-1",
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + _DEADLINE
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                raise RuntimeError((self._folder / "log").read_text(errors="replace"))
            try:
                httpx.get(self.url, timeout=30, trust_env=False)
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            return
        raise TimeoutError(f"SeaweedFS was not ready in {_DEADLINE} s")
