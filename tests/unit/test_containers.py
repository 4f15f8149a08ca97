"""The images and the composition, as far as they can be checked without a container engine."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from gateway.settings import GatewaySettings
from supervisor.environments import ROOT
from supervisor.requirements import GROUPS, names
from supervisor.settings import Settings as SupervisorSettings
from tools.containers.stand_ins import base_image
from tritone import VERSION
from tritone.catalogue import Catalogue
from tritone.settings import platform_port

TOOLS = Path(sys.executable).parent
DOCKERFILES = ("Dockerfile.triton", "Dockerfile.gateway")
SAGEMAKER = "Dockerfile.sagemaker"
"""It starts from Triton's image."""
COMPOSITIONS = [
    ("compose.yaml",),
    ("compose.yaml", "compose.cpu.yaml"),
    ("compose.yaml", "compose.observability.yaml"),
]
SERVICES = ("triton", "gateway", "worker")
IDLE_GRACE = 5
"""Seconds that the supervisor adds to DRAIN_TIMEOUT."""

SETTINGS = {name.upper() for settings in (SupervisorSettings, GatewaySettings) for name in settings.model_fields}
OTHERS = {
    "LOGNAME",
    *("CUDA_VISIBLE_DEVICES", "HOME", "LD_LIBRARY_PATH", "PATH", "PORT", "PUBLISH_ADDRESS", "PYTHON", "TRITONE_CACHE"),
    "TRITON_CACHE_DIR",
}
"""Variables that are no settings of ours."""


class Step(NamedTuple):
    """An instruction of a Dockerfile."""

    name: str
    words: str


def steps(dockerfile: str) -> list[Step]:
    """Return the instructions of a Dockerfile, each on one line, without comments."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / dockerfile).read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [Step(*line.split(maxsplit=1)) for line in lines if line.strip()]


def only(dockerfile: str, name: str) -> str:
    """Return the words of an instruction that a Dockerfile has once."""
    (step,) = (step for step in steps(dockerfile) if step.name == name)
    return step.words


def environments() -> list[str]:
    """The environments that Triton's image builds."""
    (build,) = (step.words for step in steps("Dockerfile.triton") if "--build" in step.words)
    words = build.partition("--build")[2].partition("&&")[0].split()
    return [name for word in words for name in (names(ROOT, word) if word in GROUPS else [word])]


def built(dockerfile: str, image: Path, until: str = "") -> Path:
    """Copy what COPY puts from the clone into the image, up to the first step that contains `until`."""
    last = max(index for index, step in enumerate(steps(dockerfile)) if step.name == "FROM")
    for name, words in steps(dockerfile)[last:]:
        if until and until in words:
            break
        if name == "COPY" and not words.startswith("--from="):
            *sources, target = shlex.split(words)
            (image / target).mkdir(parents=True, exist_ok=True)
            for source in map(ROOT.joinpath, sources):
                if source.is_dir():
                    shutil.copytree(source, image / target, dirs_exist_ok=True)
                else:
                    shutil.copy(source, image / target)
    return image


class Loader(yaml.SafeLoader):
    """Reads Compose's `!reset`, which removes a value of an earlier file."""


RESET = object()
Loader.add_constructor("!reset", lambda *_: RESET)


def composition(*files: str) -> dict[str, Any]:
    """Return the files, each merged over the one before."""
    whole: Any = {}
    for file in files:
        whole = _merged(whole, yaml.load((ROOT / file).read_text(), Loader))
    return dict(whole)


def _merged(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    values = base | {key: _merged(base.get(key), value) for key, value in over.items()}
    return {key: value for key, value in values.items() if value is not RESET}


def service(name: str, *files: str) -> dict[str, Any]:
    found: dict[str, Any] = composition(*(files or COMPOSITIONS[0]))["services"][name]
    return found


@pytest.mark.parametrize("dockerfile", [*DOCKERFILES, SAGEMAKER])
def test_a_dockerfile_passes_hadolint(dockerfile: str) -> None:
    command = [TOOLS / "hadolint", ROOT / dockerfile]
    lint = subprocess.run(command, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr


@pytest.mark.parametrize("files", COMPOSITIONS, ids="+".join)
def test_a_composition_follows_the_compose_specification(files: tuple[str, ...], tmp_path: Path) -> None:
    merged = tmp_path / "compose.yaml"
    merged.write_text(yaml.safe_dump(composition(*files)))
    command: list[str | Path] = [TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", merged]
    check = subprocess.run(command, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_an_image_starts_from_a_pinned_release(dockerfile: str) -> None:
    assert re.search(r":\d+\.\d+[\w.]*-", base_image(dockerfile))


def test_triton_is_newer_than_every_release_with_a_known_vulnerability() -> None:
    release = re.search(r"tritonserver:(\d+\.\d+)-py3$", only("Dockerfile.triton", "FROM"))
    assert release
    rows = [line.split("|") for line in (ROOT / "SECURITY.md").read_text().splitlines() if "CVE-20" in line]
    mending = [found for row in rows if len(row) > 4 for found in re.findall(r"\b\d\d\.\d\d\b", row[4])]
    assert len(mending) > 20
    assert max(mending) < release[1]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_an_image_runs_as_an_ordinary_user_and_stops_on_sigterm(dockerfile: str) -> None:
    assert only(dockerfile, "USER") == "1000:1000"
    assert only(dockerfile, "STOPSIGNAL") == "SIGTERM"
    start = [step for step in steps(dockerfile) if step.name in {"CMD", "ENTRYPOINT"}]
    assert [step.words[0] for step in start] == ["["], "the exec form, so that the signal arrives"


@pytest.mark.parametrize("dockerfile", [*DOCKERFILES, SAGEMAKER])
def test_the_builder_gets_every_file_that_an_image_copies(dockerfile: str) -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [step.words for step in steps(dockerfile) if step.name == "COPY" and not step.words.startswith("--from=")]
    assert {source.split("/")[0] for words in copies for source in shlex.split(words)[:-1]} <= sent


def test_every_environment_that_triton_needs_is_built_into_its_image() -> None:
    families = Catalogue.load({}).families.values()
    needed = {model.environment for family in families for model in family.models.values()}
    assert {"supervisor", *needed} <= set(environments())


def test_the_environments_are_built_from_the_files_copied_before(tmp_path: Path) -> None:
    image = built("Dockerfile.triton", tmp_path, until="--build")
    command = [sys.executable, "-m", "supervisor.environments", "--build"]
    listing = subprocess.run(command, cwd=image, capture_output=True, text=True, check=False)
    known = listing.stderr.partition("name an environment: ")[2].partition("\n")[0].split(", ")
    assert set(known) == set(environments()), listing.stderr


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_an_image_holds_every_module_that_its_code_imports(dockerfile: str, tmp_path: Path) -> None:
    image = built(dockerfile, tmp_path)
    ours = {folder.name for folder in ROOT.iterdir() if folder.is_dir()}
    imported = {module for path in image.rglob("*.py") for module in _imports(path) if module.split(".")[0] in ours}
    assert imported
    missing = [
        m for m in imported if not any((image / m.replace(".", "/")).with_suffix(s).exists() for s in ("", ".py"))
    ]
    assert not missing


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_the_gateway_image_has_neither_models_nor_their_packages(tmp_path: Path) -> None:
    image = built("Dockerfile.gateway", tmp_path)
    assert {path.name for path in image.iterdir()} == {"tritone", "gateway"}
    (install,) = (step.words for step in steps("Dockerfile.gateway") if "pip install" in step.words)
    assert re.findall(r"-r (\S+)", install) == ['"requirements/$ENVIRONMENT.txt"']
    assert re.findall(r"^ARG ENVIRONMENT=(.*)$", (ROOT / "Dockerfile.gateway").read_text(), re.M) == ["gateway"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_built_here_and_carries_our_version(name: str) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert service(name)["image"].endswith(f":{version}")
    assert service(name)["pull_policy"] == "build", "no other image of that name is used"
    assert service(name)["build"]["dockerfile"] in DOCKERFILES


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_privileges_and_a_read_only_root(name: str) -> None:
    given = service(name)
    assert given["read_only"]
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in {mount.partition(":")[0] for mount in given["tmpfs"]}
    assert not {"privileged", "user", "cap_add", "network_mode", "pid", "ipc"} & set(given)


def test_only_triton_can_write_the_models() -> None:
    mounts = {name: [mount for mount in service(name)["volumes"] if ":/models" in mount] for name in SERVICES}
    read = ["models:/models:ro"]
    assert mounts == {"triton": ["models:/models"], "gateway": read, "worker": read}


def test_the_gateway_and_the_worker_share_jobs_and_voices_on_volumes_of_their_user() -> None:
    for name in ("gateway", "worker"):
        given = service(name)
        assert given["environment"]["JOBS"] == "true"
        assert f"jobs:{given['environment']['JOBS_DIR']}" in given["volumes"]
        assert f"voices:{given['environment']['VOICES_DIR']}" in given["volumes"]
    assert service("worker")["command"][-1] == "gateway.jobs"
    folders = " ".join(service("gateway")["environment"][name] for name in ("JOBS_DIR", "VOICES_DIR"))
    assert any(step.words == f"install -d -o 1000 -g 0 -m 775 {folders}" for step in steps("Dockerfile.gateway"))


def test_a_user_of_the_group_0_may_write_the_folders_of_volumes() -> None:
    (made,) = (step.words for step in steps("Dockerfile.triton") if "install --directory" in step.words)
    assert "install --directory --owner=1000 --group=0 --mode=0775 /models /var/cache/tritone" in " ".join(made.split())


def test_downloads_are_cached_on_the_volume_of_the_models() -> None:
    assert service("triton")["environment"]["TRITONE_CACHE"].startswith("/models/")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_stop_for_longer_than_it_drains(name: str) -> None:
    drain = SupervisorSettings.model_fields["drain_timeout"].default
    assert int(service(name)["stop_grace_period"].removesuffix("s")) > drain + IDLE_GRACE


def test_the_gateway_starts_once_triton_is_healthy() -> None:
    assert service("gateway")["depends_on"] == {"triton": {"condition": "service_healthy"}}
    assert only("Dockerfile.triton", "HEALTHCHECK")


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_published_on_loopback_by_default(name: str) -> None:
    for port in service(name)["ports"]:
        assert re.match(r"127\.0\.0\.1:|\$\{PUBLISH_ADDRESS:-127\.0\.0\.1\}:", port), port
    assert name == "gateway" or all(port.startswith("127.") for port in service(name)["ports"])


def test_the_published_ports_of_triton_are_those_that_it_listens_on() -> None:
    environment = service("triton")["environment"]
    published = dict(re.findall(r"\$\{(\w+):-\d+\}:(\d+)", " ".join(service("triton")["ports"])))
    assert published == {name: str(port) for name, port in environment.items() if name.endswith("_PORT")}
    assert only("Dockerfile.triton", "EXPOSE").split() == list(published.values())


@pytest.mark.parametrize("dockerfile", [*DOCKERFILES, SAGEMAKER])
def test_a_variable_of_an_image_is_a_setting(dockerfile: str) -> None:
    words = [word for step in steps(dockerfile) if step.name == "ENV" for word in shlex.split(step.words)]
    assert {word.partition("=")[0] for word in words} <= SETTINGS | OTHERS


@pytest.mark.parametrize("files", COMPOSITIONS, ids="+".join)
def test_a_variable_of_a_composition_is_a_setting_with_its_own_default(files: tuple[str, ...]) -> None:
    text = "".join((ROOT / file).read_text() for file in files)
    given = {name for each in SERVICES for name in service(each, *files)["environment"]}
    defaults = re.findall(r"\$\{(\w+):-([^}]*)\}", text)
    assert given | {name for name, _ in defaults} <= SETTINGS | OTHERS
    for name, default in defaults:
        own = "127.0.0.1" if name == "PUBLISH_ADDRESS" else SupervisorSettings.model_fields[name.lower()].default
        assert default == ("" if own == () else str(own))


def test_the_composition_chooses_no_models_and_passes_the_choice_of_the_operator() -> None:
    given = service("triton")["environment"]
    for name in ("TTS_MODES", "STT_MODELS", "MODEL_TYPE", "DEVICE"):
        assert given[name].startswith(f"${{{name}:-"), "from the shell or .env"
    assert not {"TTS_MODES", "STT_MODELS", "MODEL_TYPE"} & set(service("gateway")["environment"])
    text = (ROOT / "compose.yaml").read_text()
    assert not [id_ for id_ in Catalogue.load({}).models if id_ in text]


def test_the_published_address_is_not_the_address_inside() -> None:
    assert service("gateway")["environment"]["API_HOST"] == "0.0.0.0"
    assert "API_HOST" not in " ".join(service("gateway")["ports"])


def test_the_gpus_are_reserved_except_with_the_cpu_file() -> None:
    (device,) = service("triton")["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    without = service("triton", *COMPOSITIONS[1])
    assert "deploy" not in without
    assert without["environment"]["DEVICE"] == "cpu"


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_has_the_version_of_the_code(name: str) -> None:
    image = service(name)["image"]
    assert image.endswith(f":{VERSION}")
    assert image in (ROOT / "docs" / "containers.md").read_text()


@pytest.mark.parametrize("dockerfile", [*DOCKERFILES, SAGEMAKER])
def test_the_version_of_python_stands_in_the_base_image_alone(dockerfile: str) -> None:
    """Another base image, with another Python, needs no other change."""
    assert not [step for step in steps(dockerfile) if step.name != "FROM" and re.search(r"\b3\.\d\d", step.words)]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_builders_older_than_docker_25_read_the_dockerfile(dockerfile: str) -> None:
    assert "--start-interval" not in only(dockerfile, "HEALTHCHECK")


@pytest.mark.parametrize("files", COMPOSITIONS, ids="+".join)
def test_the_values_of_a_compositions_variables_are_strings(files: tuple[str, ...]) -> None:
    """Podman's composer rejects numbers."""
    values = [value for name in SERVICES for value in service(name, *files)["environment"].values()]
    assert {type(value) for value in values} <= {str, type(None)}


def environment_of(dockerfile: str) -> dict[str, str]:
    words = [word for step in steps(dockerfile) if step.name == "ENV" for word in shlex.split(step.words)]
    return dict(word.split("=", 1) for word in words)


def test_the_image_for_sagemaker_adds_the_gateway_to_tritons(tmp_path: Path) -> None:
    assert base_image(SAGEMAKER) == service("triton")["image"]
    image = built(SAGEMAKER, built("Dockerfile.triton", tmp_path))
    assert {"gateway", "supervisor", "adapters"} <= {path.name for path in image.iterdir()}
    build = next(step.words for step in steps(SAGEMAKER) if "--build" in step.words)
    assert "--build gateway" in build
    assert (image / "requirements" / "gateway.txt").exists()


def test_the_image_for_sagemaker_starts_with_the_word_serve() -> None:
    assert (only(SAGEMAKER, "ENTRYPOINT"), only(SAGEMAKER, "CMD")) == ("[]", '["serve"]')
    first = environment_of(SAGEMAKER)["PATH"].split(":")[0]
    assert first == f"{only('Dockerfile.triton', 'WORKDIR')}/scripts"
    assert os.access(ROOT / "scripts" / "serve", os.X_OK)


def test_the_image_for_sagemaker_leaves_the_port_to_the_platform() -> None:
    given = environment_of(SAGEMAKER)
    assert "API_PORT" not in given
    assert platform_port(given) == {"api_port": "8080"}
    assert platform_port({**given, "SAGEMAKER_BIND_TO_PORT": "8443"}) == {"api_port": "8443"}
    assert only(SAGEMAKER, "LABEL") == "com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true"


def test_the_image_for_sagemaker_stops_before_it_is_killed() -> None:
    """SageMaker waits for 30 s; the gateway and then Triton take DRAIN_TIMEOUT and the grace of an idle process."""
    drain = int(environment_of(SAGEMAKER)["DRAIN_TIMEOUT"])
    assert 2 * (drain + IDLE_GRACE) < 30
    assert environment_of(SAGEMAKER)["JOBS"] == "false", "a worker would be stopped before them"


def test_the_image_for_sagemaker_keeps_triton_to_itself() -> None:
    assert environment_of(SAGEMAKER)["TRITON_HOST"] == "127.0.0.1"


def test_the_image_for_sagemaker_runs_as_root_because_sagemaker_says_so() -> None:
    assert [step.words for step in steps(SAGEMAKER) if step.name == "USER"] == ["0:0", "${USER}"]
    assert "USER=0:0" in [step.words for step in steps(SAGEMAKER) if step.name == "ARG"]
