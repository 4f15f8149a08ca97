"""`python -m docs.generate`: write every file that is made from the code.

These are docs/contract.md, docs/metrics.md, .env.example, model_repository/, and two tables in README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from docs import contract_page, metrics_page
from gateway.settings import GatewaySettings
from supervisor import model_config
from supervisor.plan import REPOSITORY
from supervisor.settings import Settings as SupervisorSettings
from tritone.catalogue import Catalogue
from tritone.settings import SHARED

ROOT = Path(__file__).parents[1]
CATALOGUE = Catalogue.load({})
"""The built-in families, without those of EXTRA_FAMILIES."""


@dataclass(frozen=True)
class Row:
    """A setting in the documentation."""

    name: str
    default: str
    reader: str
    """The part that reads it; `several` for a setting that more than one part reads."""
    meaning: str


def settings() -> dict[str, Row]:
    """Return every setting once, by its name: the shared ones, those of each part, and those of each family."""
    rows = [Row(each.name, str(each.default), "several", each.description) for each in SHARED]
    for reader, part in (("serve", SupervisorSettings), ("gateway", GatewaySettings)):
        for name, field in part.model_fields.items():
            rows.append(Row(name.upper(), _shown(field.default), reader, field.description or ""))
    for family in CATALOGUE.families.values():
        for setting in family.settings.values():
            rows.append(Row(setting.name, str(setting.default), family.name, setting.description))
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(row.name, row)
    return found


def settings_table() -> str:
    """Return a table of the settings."""
    lines = ["| setting | default | read by | meaning |", "|---|---|---|---|"]
    for row in settings().values():
        default = f"`{row.default}`" if row.default else ""
        lines.append(f"| `{row.name}` | {default} | {row.reader} | {row.meaning} |")
    return "\n".join(lines) + "\n"


def models_table() -> str:
    """Return a table of the models, and one of the aliases, in the order of `preferences.toml`."""
    lines = ["| id | kind | |", "|---|---|---|"]
    for model in (*CATALOGUE.models.values(), *CATALOGUE.companions):
        kind = "for gRPC clients" if model.kind == "companion" else model.kind
        lines.append(f"| `{model.id}` | {kind} | {model.summary} |")
    lines += ["", "| alias | models, best first |", "|---|---|"]
    for ids, aliases in _aliases().items():
        lines.append(f"| {_code(aliases)} | {_code(ids)} |")
    return "\n".join(lines) + "\n"


def env_example() -> str:
    """Return the text of .env.example: every setting as a line to uncomment."""
    lines = ["# Copy this file to .env and uncomment the settings to change; the values here are the defaults.", ""]
    for row in settings().values():
        lines += [f"# {row.meaning}", f"#{row.name}={row.default}", ""]
    return "\n".join(lines)


def pages() -> dict[Path, str]:
    """Return the text of every generated file."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    readme = _between("settings", settings_table(), readme)
    readme = _between("models", models_table(), readme)
    repository = model_config.repository(CATALOGUE.families.values())
    return {
        ROOT / "docs" / "contract.md": contract_page.page(),
        ROOT / "docs" / "metrics.md": metrics_page.page(),
        ROOT / ".env.example": env_example(),
        ROOT / "README.md": readme,
        **{REPOSITORY / path: text for path, text in repository.items()},
    }


def stale() -> Iterator[Path]:
    """Yield the generated files of model_repository/ that no model has any more."""
    current = pages()
    for path in sorted(REPOSITORY.rglob("*")):
        if path.suffix not in (".pbtxt", ".py") or path in current:
            continue
        if path.read_text(encoding="utf-8").startswith(model_config.HEADER):
            yield path


def write() -> None:
    """Write the generated files, and remove the stale ones with their empty folders."""
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for path in list(stale()):
        path.unlink()
        for folder in path.parents[: len(path.relative_to(REPOSITORY).parts) - 1]:
            if not any(folder.iterdir()):
                folder.rmdir()


def _between(marker: str, text: str, page: str) -> str:
    pattern = re.compile(rf"(?<=<!-- {marker} -->\n).*?(?=<!-- /{marker} -->)", re.DOTALL)
    return pattern.sub(lambda _: text, page)


def _aliases() -> dict[tuple[str, ...], list[str]]:
    """Return the models that aliases stand for, best first, and the aliases that stand for these."""
    found: dict[tuple[str, ...], list[str]] = {}
    for alias, ids in CATALOGUE.aliases.items():
        found.setdefault(ids, []).append(alias)
    return found


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _shown(default: Any) -> str:
    """Return a default in the form of an environment variable."""
    if isinstance(default, tuple | dict):
        return ",".join(map(str, default))
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    return "" if default is None else str(default)


if __name__ == "__main__":
    write()
