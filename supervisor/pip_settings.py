"""pip's configuration, as pip itself reads it, and the same settings in the variables of uv, which ignores pip's.

Like supervisor.environments, this module needs only the standard library.
"""

from __future__ import annotations

import configparser
import os
import ssl
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_SECTIONS = ("global", "install")
"""The sections of the files that hold for `pip install`; the later one wins."""
_YES = {"1", "true", "yes", "on", "t", "y"}
_LISTS = {
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "constraint": ("UV_CONSTRAINT", " "),
    "build-constraint": ("UV_BUILD_CONSTRAINT", " "),
}
"""pip's settings with several values, with uv's variable and the character between its values."""
_VALUES = {
    "index-url": "UV_DEFAULT_INDEX",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
}
_OLDER_NAMES = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
_OPTIONS = ("only-binary", "no-binary")


def read(environ: Mapping[str, str]) -> dict[str, str]:
    """Return pip's settings for an installation by their long option's name: files first, then PIP_* variables."""
    sections: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for file in _files(environ):
        parser = configparser.RawConfigParser()
        parser.read(file)  # a missing one is skipped
        for section in _SECTIONS:
            if parser.has_section(section):
                sections[section] |= {_option(name): value for name, value in parser.items(section)}
    variables = {_option(name[4:]): value for name, value in environ.items() if name.startswith("PIP_")}
    merged = {**sections["global"], **sections["install"], **variables}
    return {name: value for name, value in merged.items() if value}


def _files(environ: Mapping[str, str]) -> Iterator[Path]:
    """Yield the places of pip's configuration files; a later file wins."""
    explicit = environ.get("PIP_CONFIG_FILE")
    if explicit == os.devnull:
        return
    for folder in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(os.pathsep):
        yield Path(folder, "pip", "pip.conf")
    yield Path("/etc/pip.conf")
    if not (explicit and Path(explicit).exists()):
        home = Path(environ.get("HOME") or "/")
        yield home / ".pip" / "pip.conf"
        yield Path(environ.get("XDG_CONFIG_HOME") or home / ".config", "pip", "pip.conf")
    yield Path(sys.prefix, "pip.conf")
    if explicit:
        yield Path(explicit)


def _option(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def uv_variables(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return uv's variables for pip's `settings`; those of uv that `environ` has already are left out."""
    found = {_VALUES[name]: value for name, value in settings.items() if name in _VALUES}
    for name, (variable, separator) in _LISTS.items():
        if name in settings:
            found[variable] = separator.join(settings[name].split())
    if _is_on(settings, "pre"):
        found["UV_PRERELEASE"] = "allow"
    if settings.get("keyring-provider") == "subprocess":
        found["UV_KEYRING_PROVIDER"] = "subprocess"
    found |= _in_order(found, environ)
    own = {name: value for name, value in found.items() if not {name, _OLDER_NAMES.get(name, name)} & environ.keys()}
    if proxy := settings.get("proxy"):
        url = proxy if "://" in proxy else f"http://{proxy}"
        own |= dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), url)
    if certificate := settings.get("client-cert"):
        own["SSL_CLIENT_CERT"] = certificate
    return own | _certificates(settings, environ)


def _in_order(found: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of the indexes with the main index first, and an extra one as uv's last.

    pip takes the best file of a version from any index; uv takes the files of a version from one index, and the extra
    ones come first. The main one has every file: an extra one may have only the wheel without a library inside.
    """
    extra = found.get("UV_INDEX", "").split()
    main = found.get("UV_DEFAULT_INDEX") or _usual_index()
    if not (extra and main) or {*_OLDER_NAMES, *_OLDER_NAMES.values()} & environ.keys():
        return {}
    return {"UV_INDEX": " ".join([main, *extra[:-1]]), "UV_DEFAULT_INDEX": extra[-1]}


def _usual_index() -> str | None:
    """Return the index that pip uses without a setting."""
    try:
        from pip._internal.models.index import PyPI  # noqa: PLC0415
    except ImportError:
        return None
    return PyPI.simple_url


def uv_options(settings: Mapping[str, str]) -> list[str]:
    """Return uv's options for those of pip's `settings` that no variable of uv stands for."""
    options = ["--no-index"] if _is_on(settings, "no-index") else []
    for name in _OPTIONS:
        for value in settings.get(name, "").replace(",", " ").split():
            options += [f"--{name}", value]
    return options


def _is_on(settings: Mapping[str, str], name: str) -> bool:
    return is_yes(settings.get(name, ""))


def is_yes(value: str) -> bool:
    """Return whether a setting has a value that pip reads as true."""
    return value.lower() in _YES


def _certificates(settings: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for the authorities that pip trusts: those of its settings, else those of the machine."""
    file = settings.get("cert")
    if not file and not {"SSL_CERT_FILE", "SSL_CERT_DIR"} & environ.keys():
        file = environ.get("REQUESTS_CA_BUNDLE") or environ.get("CURL_CA_BUNDLE")
    if file:
        return {"SSL_CERT_DIR" if Path(file).is_dir() else "SSL_CERT_FILE": file}
    paths = ssl.get_default_verify_paths()
    return {"UV_SYSTEM_CERTS": "true"} if paths.cafile or paths.capath else {}
