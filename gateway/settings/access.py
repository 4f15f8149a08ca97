"""The settings of access: keys, and the names and pages of this server."""

from __future__ import annotations

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator

from gateway.settings.fields import Names, Secrets


class AccessSettings(BaseModel):
    """Part of `GatewaySettings`."""

    api_keys: Secrets = Field(default=(), description="API keys; a client must send one of them. Empty: no key needed.")
    api_key_names: Names = Field(
        default=(), description="Names of API_KEYS, in their order, for the reports of usage; no secrets."
    )
    admin_key: SecretStr = Field(
        default=SecretStr(""),
        description="Key that may read the usage of all API keys (`/v1/organization/usage`), and nothing else. Empty: "
        "nobody may.",
    )
    usage_retention: float = Field(
        default=400 * 86400.0, gt=0, description="Seconds for which the usage of API keys is kept."
    )
    public_lists: bool = Field(default=False, description="Whether the lists of models and voices need no key.")
    cors_origins: Names = Field(
        default=(),
        description="Origins that browsers may send requests from, and open WebSockets from; `*`: all. Without keys, "
        "WebSockets from loopback and from this server's own pages are accepted too.",
    )
    allowed_hosts: Names = Field(
        default=(),
        description="Names of this server that the Host header may hold, such as `speech.example.com` or "
        "`*.example.com`, beside IP addresses, names without a dot and private ones (`.local`, `.internal`); `*`: all. "
        "Empty: the header is checked only on a loopback `API_HOST` without keys, against DNS rebinding.",
    )

    @field_validator("api_key_names")
    @classmethod
    def _check_key_names(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        keys = info.data.get("api_keys", ())
        if len(names) > len(keys):
            raise ValueError(f"it has {len(names)} names, and API_KEYS {len(keys)} keys")
        if len(set(names)) < len(names):
            raise ValueError("two keys have the same name")
        return names
