"""What the documentation takes from the code: `python -m docs.generate` writes it anew.

docs/contract.md and .env.example are made whole; the settings table stands between its marks in README.md.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from adapters import settings as adapters
from docs import contract_page
from gateway.settings import GatewaySettings
from supervisor.settings import Settings as SupervisorSettings

ROOT = Path(__file__).parents[1]
_TABLE = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- /settings -->)", re.DOTALL)


def settings_table() -> str:
    """Every setting with its default, who reads it and what it means."""
    lines = ["| setting | default | read by | meaning |", "|---|---|---|---|"]
    for name, (default, meaning, readers) in _settings().items():
        lines.append(f"| `{name}` | {f'`{default}`' if default else ''} | {', '.join(readers)} | {meaning} |")
    return "\n".join(lines) + "\n"


def env_example() -> str:
    """Every setting as a line to uncomment."""
    lines = ["# Copy to .env and uncomment what should differ; these are the defaults.", ""]
    for name, (default, meaning, _) in _settings().items():
        lines += [f"# {meaning}", f"#{name}={default}", ""]
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    """Every file that is made from the code, as it should be."""
    readme = ROOT / "README.md"
    return {
        ROOT / "docs" / "contract.md": contract_page.page(),
        ROOT / ".env.example": env_example(),
        readme: _TABLE.sub(lambda _: settings_table(), readme.read_text(encoding="utf-8")),
    }


def _settings() -> dict[str, tuple[str, str, list[str]]]:
    """Each environment variable's default, its meaning, and who reads it."""
    found: dict[str, tuple[str, str, list[str]]] = {}
    for reader, settings in (("serve", SupervisorSettings), ("gateway", GatewaySettings)):
        for name, field in settings.model_fields.items():
            found.setdefault(name.upper(), (_shown(field.default), field.description or "", []))[2].append(reader)
    for setting in adapters.ALL:
        found.setdefault(setting.name, (_shown(setting.default), setting.description, []))[2].append("models")
    return found


def _shown(default: Any) -> str:
    """A default as the environment variable would say it."""
    if isinstance(default, tuple | dict):
        return ",".join(map(str, default))
    if isinstance(default, bool):
        return str(default).lower()
    return "" if default is None else str(default)


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
