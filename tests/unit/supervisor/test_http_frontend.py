"""Which servers' HTTP frontends are opened, and on which address."""

from __future__ import annotations

from pathlib import Path

import pytest

from supervisor import http_frontend
from supervisor.http_frontend import Choice, Version

OLD: Version = (2, 59, 0)
MENDED: Version = (2, 59, 1)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.59.1\n", (2, 59, 1)),
        ("2.73.0dev", (2, 73, 0)),
        ("25.07", None),
        ("", None),
    ],
)
def test_the_version_of_an_installed_server_is_in_its_folder(
    tmp_path: Path, text: str, version: Version | None
) -> None:
    (tmp_path / "TRITON_VERSION").write_text(text)
    assert http_frontend.server_version(tmp_path) == version


def test_the_version_of_a_server_without_that_file_is_unknown(tmp_path: Path) -> None:
    assert http_frontend.server_version(tmp_path) is None


def test_a_version_file_that_is_no_text_leaves_the_version_unknown(tmp_path: Path) -> None:
    (tmp_path / "TRITON_VERSION").write_bytes(b"\xff\xfe2.59.1")
    assert http_frontend.server_version(tmp_path) is None


def test_the_embedded_server_is_the_one_of_the_pinned_wheel() -> None:
    pins = Path(__file__).parents[3] / "requirements" / "no-deps" / "triton.txt"
    assert "nvidia-pytriton==0.7.0" in pins.read_text()
    assert http_frontend.server_version(None) == (2, 51, 0)


@pytest.mark.parametrize(
    ("version", "vulnerable"),
    [((2, 51, 0), True), (OLD, True), (None, True), (MENDED, False), ((2, 60, 0), False), ((3, 0, 0), False)],
)
def test_servers_older_than_2_59_1_and_unknown_ones_are_vulnerable(version: Version | None, vulnerable: bool) -> None:
    assert http_frontend.is_vulnerable(version) is vulnerable


@pytest.mark.parametrize(
    ("choice", "version", "address"),
    [
        ("auto", OLD, None),
        ("auto", None, None),
        ("auto", MENDED, "0.0.0.0"),
        ("true", OLD, "127.0.0.1"),
        ("true", None, "127.0.0.1"),
        ("true", MENDED, "0.0.0.0"),
        ("false", OLD, None),
        ("false", MENDED, None),
    ],
)
def test_a_vulnerable_frontend_never_listens_beyond_loopback(
    choice: Choice, version: Version | None, address: str | None
) -> None:
    assert http_frontend.http_address(choice, "0.0.0.0", version) == address


@pytest.mark.parametrize(
    ("version", "named"), [(OLD, "can end Triton 2.59.0 (CVE-"), (None, "can end a Triton of unknown version (CVE-")]
)
def test_the_warning_names_the_server_and_the_fault(version: Version | None, named: str) -> None:
    assert named in http_frontend.warning(version)


@pytest.mark.parametrize(
    ("variables", "version", "exposed"),
    [
        ({"AIP_MODE": "PREDICTION"}, OLD, True),
        ({"AIP_MODE": "PREDICTION"}, None, True),
        ({"AIP_MODE": "PREDICTION"}, MENDED, False),
        ({"AIP_MODE": "TRAINING"}, OLD, False),
        ({}, OLD, False),
    ],
)
def test_a_vertex_ai_environment_exposes_a_vulnerable_server(
    variables: dict[str, str], version: Version | None, exposed: bool
) -> None:
    assert (http_frontend.exposure(variables, version) is not None) is exposed
