"""A stand-in for AWS: moto's server, with S3 and SQS that behave as AWS documents them, on loopback.

It shows that our calls are right and in which order they come; how AWS itself fails it does not show.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx

from tests.ports import free_ports

REGION = "ap-northeast-2"


@dataclass
class Aws:
    """A running server, and a blocking client of it."""

    url: str
    session: Any
    process: subprocess.Popen[bytes] | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that lead to it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
        }

    @property
    def s3(self) -> Any:
        return self.session.client("s3", endpoint_url=self.url)

    @property
    def sqs(self) -> Any:
        return self.session.client("sqs", endpoint_url=self.url)

    def bucket(self, name: str) -> str:
        """Make a bucket, and return its name."""
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def queue(self, name: str, *, dead_letters: str = "", receives: int = 1000) -> str:
        """Make a queue, if wished with a dead-letter queue, and return its URL."""
        attributes = {}
        if dead_letters:
            found = self.sqs.get_queue_attributes(QueueUrl=dead_letters, AttributeNames=["QueueArn"])
            policy = {"deadLetterTargetArn": found["Attributes"]["QueueArn"], "maxReceiveCount": str(receives)}
            attributes["RedrivePolicy"] = json.dumps(policy)
        return str(self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def send(self, queue: str, **fields: Any) -> str:
        """Send a message, and return its id."""
        return str(self.sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(fields))["MessageId"])

    def take(self, queue: str, wait: int = 0) -> list[dict[str, Any]]:
        """Return the bodies of up to ten messages, which are deleted."""
        found = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait)
        messages = found.get("Messages", [])
        for message in messages:
            self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in messages]

    def depth(self, queue: str) -> int:
        """Return the number of messages, in flight or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found: Mapping[str, str] = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(map(int, found.values()))

    def objects(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Return the objects of a bucket by their keys."""
        found = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return {each["Key"]: self.s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found}


@contextmanager
def aws_server(log: Path) -> Iterator[Aws]:
    """Run a server for the block."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=output,
            env={**os.environ, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        )
        try:
            deadline = time.monotonic() + 120
            while True:
                try:
                    httpx.get(url, timeout=30, trust_env=False)
                    break
                except httpx.TransportError:
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(log.read_text()) from None
                    time.sleep(0.1)
            yield Aws(url, session, process)
        finally:
            process.kill()
            process.wait()
