"""The settings of results in a bucket, and of the queues of messages."""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, Field, SecretStr


class ResultSettings(BaseModel):
    """Part of `GatewaySettings`."""

    s3_bucket_name: str = Field(
        default="",
        validation_alias=AliasChoices("s3_bucket_name", "aws_bucket_name"),
        description="Bucket of S3 for the results of `/zonos`; `AWS_BUCKET_NAME` is read too. Credentials, region and "
        "endpoint are in `AWS_*` variables. Empty: answers are the audio itself.",
    )
    results_prefix: str = Field(default="", description="Folder in that bucket; empty: its root.")
    result_url_seconds: float = Field(
        default=86_400.0, gt=0, le=604_800, description="Seconds for which the signed address of a result is valid."
    )
    sqs_url: str = Field(default="", description="Queue of SQS for the notices of results. Empty: none are sent.")
    aws_sqs_register_queue_url: str = Field(
        default="", description="Queue of SQS with messages as bodies of `/zonos/register_speaker`."
    )
    aws_sqs_synthesize_queue_url: str = Field(
        default="", description="Queue of SQS with messages as bodies of `/zonos/synthesize`."
    )
    aws_sqs_assistant_queue_url: str = Field(
        default="", description="Queue of SQS with messages as bodies of `/zonos/assistant`."
    )
    sqs_at_once: int = Field(default=2, ge=1, le=10, description="Messages of each queue that a worker has at once.")
    sqs_visibility: int = Field(
        default=60,
        ge=2,
        le=43_200,
        description="Seconds after which a message of a dead worker is taken by another; a living one renews them.",
    )
    sqs_max_receives: int = Field(
        default=5,
        ge=1,
        description="Attempts at a message, if its queue has no dead-letter queue; then it is put below "
        "`dead-letters/` in the bucket.",
    )
    sqs_api_key: SecretStr = Field(
        default=SecretStr(""), description="API key whose registered speakers messages may name, if there are API keys."
    )
    sqs_metrics_port: int = Field(
        default=0, ge=0, le=65535, description="Port of the queue worker's Prometheus metrics, on API_HOST; 0: none."
    )
