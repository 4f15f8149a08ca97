"""pip's configuration is read as pip reads it, and reaches uv."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor import pip_settings

FILES = {
    "xdg/pip/pip.conf": "[global]\nextra-index-url = https://a.example/\n    https://b.example/\nretries = 1\n",
    "home/.pip/pip.conf": "[global]\nretries = 2\nFind_Links = /one /two\n",
    "home/.config/pip/pip.conf": "[install]\nretries = 3\n[global]\ncert = /one.pem\n[download]\nno-index = true\n",
    "explicit.conf": "[global]\nindex-url = https://c.example/simple\nproxy = p.example:3128\ntimeout =\n",
}


def environ(folder: Path, **variables: str) -> dict[str, str]:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    found = {"HOME": str(folder / "home"), "XDG_CONFIG_DIRS": str(folder / "xdg"), "PATH": os.environ["PATH"]}
    return {**found, **variables}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"PIP_CONFIG_FILE": "{}/explicit.conf"},
        {"PIP_CONFIG_FILE": "{}/there/is/none"},
        {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "4"},
        {
            "PIP_RETRIES": "4",
            "PIP_INDEX_URL": "https://d.example/simple",
            "PIP_TIMEOUT": "",
            "XDG_CONFIG_HOME": "/none",
        },
    ],
    ids=["files", "explicit file", "missing file", "no files", "variables"],
)
def test_the_settings_are_those_that_pip_lists(tmp_path: Path, variables: dict[str, str]) -> None:
    environment = environ(tmp_path, **{name: value.format(tmp_path) for name, value in variables.items()})
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    listed: dict[str, dict[str, str]] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        listed.setdefault(section, {})[option] = value.strip("'\"").replace("\\n", "\n")
    expected = listed.get("global", {}) | listed.get("install", {}) | listed.get(":env:", {})
    expected.pop("config-file", None)
    found = pip_settings.read(environment)
    found.pop("config-file", None)
    assert found == {name: value for name, value in expected.items() if value}


def test_uv_receives_the_indexes_the_constraints_and_the_network_settings() -> None:
    settings = {
        "index-url": "https://c.example/simple",
        "extra-index-url": "https://a.example/simple\nhttps://b.example/simple",
        "find-links": "/one /two",
        "constraint": "/constraints.txt",
        "trusted-host": "a.example",
        "timeout": "60",
        "retries": "7",
        "cert": "/authorities.pem",
        "client-cert": "/me.pem",
        "proxy": "p.example:3128",
        "pre": "yes",
        "no-index": "false",
        "only-binary": "a,b",
    }
    assert pip_settings.uv_variables(settings, {"SSL_CERT_FILE": "/other.pem"}) == {
        "UV_INDEX": "https://c.example/simple https://a.example/simple",
        "UV_DEFAULT_INDEX": "https://b.example/simple",
        "UV_FIND_LINKS": "/one,/two",
        "UV_CONSTRAINT": "/constraints.txt",
        "UV_INSECURE_HOST": "a.example",
        "UV_HTTP_TIMEOUT": "60",
        "UV_HTTP_RETRIES": "7",
        "UV_PRERELEASE": "allow",
        "SSL_CERT_FILE": "/authorities.pem",
        "SSL_CLIENT_CERT": "/me.pem",
        "http_proxy": "http://p.example:3128",
        "https_proxy": "http://p.example:3128",
        "HTTP_PROXY": "http://p.example:3128",
        "HTTPS_PROXY": "http://p.example:3128",
    }
    assert pip_settings.uv_options(settings) == ["--only-binary", "a", "--only-binary", "b"]
    assert pip_settings.uv_options({"no-index": "1"}) == ["--no-index"]


def test_the_usual_index_comes_before_extra_ones() -> None:
    pytest.importorskip("pip")
    found = pip_settings.uv_variables({"extra-index-url": "https://a.example/simple"}, {})
    assert found["UV_DEFAULT_INDEX"] == "https://a.example/simple"
    assert found["UV_INDEX"].startswith("https://")
    own = pip_settings.uv_variables({"extra-index-url": "https://a.example/simple"}, {"UV_INDEX": "x"})
    assert not {"UV_INDEX", "UV_DEFAULT_INDEX"} & own.keys()


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_a_setting_of_uv_wins_over_that_of_pip(variable: str) -> None:
    own = {variable: "https://c.example/simple"}
    assert "UV_DEFAULT_INDEX" not in pip_settings.uv_variables({"index-url": "https://d.example/simple"}, own)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_authorities_of_the_http_library_reach_uv_unless_it_has_its_own(tmp_path: Path, variable: str) -> None:
    assert pip_settings.uv_variables({}, {variable: "/a.pem"}) == {"SSL_CERT_FILE": "/a.pem"}
    assert pip_settings.uv_variables({}, {variable: str(tmp_path)}) == {"SSL_CERT_DIR": str(tmp_path)}
    assert "SSL_CERT_FILE" not in pip_settings.uv_variables({}, {variable: "/a.pem", "SSL_CERT_FILE": "/b.pem"})
