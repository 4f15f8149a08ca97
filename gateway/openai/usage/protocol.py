"""The query of a usage report, and the report as OpenAI's SDK reads it."""

from __future__ import annotations

from typing import ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.core.usage.report import UsageBucket, UsageReport, UsageRow

WIDTHS: Final = {"1m": 60, "1h": 3600, "1d": 86_400}
"""Seconds of a bucket."""
LIMITS: Final = {"1m": (60, 1440), "1h": (24, 168), "1d": (7, 31)}
"""Buckets of a page: the default, and the most."""
_PAGE: Final = "page_"
_LATEST: Final = 2**40
"""The end of the times that are taken, in Unix seconds."""


class UsageQuery(BaseModel):
    """OpenAI's query; a list is a repeated parameter, as `models=a&models=b` or `models[]=a&models[]=b`."""

    model_config = ConfigDict(extra="forbid")

    start_time: int = Field(ge=0, lt=_LATEST, description="Unix seconds, inclusive.")
    end_time: int | None = Field(default=None, ge=1, lt=_LATEST, description="Unix seconds, exclusive; default: now.")
    bucket_width: Literal["1m", "1h", "1d"] = "1d"
    group_by: list[Literal["project_id", "user_id", "api_key_id", "model"]] = Field(
        default=[], description="There are no projects and users here: grouping by them has no effect."
    )
    api_key_ids: list[str] = Field(default=[], description="Only the usage of these keys.")
    models: list[str] = Field(default=[], description="Only the usage of these models, by id.")
    project_ids: list[str] = Field(default=[], max_length=0, description="There are no projects here.")
    user_ids: list[str] = Field(default=[], max_length=0, description="There are no users here.")
    limit: int | None = Field(
        default=None, ge=1, description="Buckets of a page: 7 (at most 31) of 1d, 24 (168), 60 (1440)."
    )
    page: str = Field(default="", pattern=rf"^({_PAGE}\d{{1,12}})?$", description="The `next_page` of the page before.")

    @model_validator(mode="after")
    def _check_limit(self) -> Self:
        most = LIMITS[self.bucket_width][1]
        if self.limit is not None and self.limit > most:
            raise ValueError(f"limit: {self.limit} is too many; at most {most} buckets of {self.bucket_width}")
        if self.end_time is not None and self.end_time <= self.start_time:
            raise ValueError("end_time: it must be later than start_time")
        return self

    @property
    def begin(self) -> int:
        """The begin of the page, in Unix seconds."""
        return max(self.start_time, int(self.page.removeprefix(_PAGE) or 0))


class _Usage(BaseModel):
    """The usage in a bucket; what it is not grouped by is null."""

    amount_field: ClassVar[str]
    """The field of what is counted."""
    num_model_requests: int
    project_id: None = None
    user_id: None = None
    api_key_id: str | None
    model: str | None

    @classmethod
    def of(cls, row: UsageRow) -> Self:
        """Return it in OpenAI's form."""
        return cls.model_validate(
            {
                cls.amount_field: round(row.count.amount),
                "num_model_requests": row.count.requests,
                "api_key_id": row.api_key_id,
                "model": row.model,
            }
        )


class SpeechUsage(_Usage):
    """The usage of speech in a bucket."""

    amount_field = "characters"
    object: Literal["organization.usage.audio_speeches.result"] = "organization.usage.audio_speeches.result"
    characters: int


class TranscriptionUsage(_Usage):
    """The usage of transcriptions in a bucket."""

    amount_field = "seconds"
    object: Literal["organization.usage.audio_transcriptions.result"] = "organization.usage.audio_transcriptions.result"
    seconds: int


class UsageBucketObject(BaseModel):
    """A span of time and its usage."""

    object: Literal["bucket"] = "bucket"
    start_time: int
    end_time: int
    results: list[SpeechUsage | TranscriptionUsage]

    @classmethod
    def of(cls, bucket: UsageBucket, result: type[SpeechUsage | TranscriptionUsage]) -> Self:
        """Return it in OpenAI's form."""
        return cls(start_time=bucket.start, end_time=bucket.end, results=[result.of(row) for row in bucket.rows])


class UsagePage(BaseModel):
    """A page of buckets."""

    object: Literal["page"] = "page"
    data: list[UsageBucketObject]
    has_more: bool
    next_page: str | None

    @classmethod
    def of(cls, report: UsageReport, result: type[SpeechUsage | TranscriptionUsage]) -> Self:
        """Return it in OpenAI's form."""
        more = report.next_start
        return cls(
            data=[UsageBucketObject.of(bucket, result) for bucket in report.buckets],
            has_more=more is not None,
            next_page=None if more is None else f"{_PAGE}{more}",
        )
