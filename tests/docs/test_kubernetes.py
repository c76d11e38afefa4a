"""deploy/k8s fits Kubernetes' schemas, the image and the program; docs/kubernetes.md gives its numbers."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import typer.main
import yaml
from fastapi.routing import APIRoute
from prometheus_client.parser import text_string_to_metric_families

import dockerfile
from api_client import serving
from app.access import SCOPES
from app.api import route_service
from app.cli import cli
from app.components import N_THREADS_PER_WORKER
from app.server import GRACE_S
from app.settings import Settings, is_loopback, load_settings, variable

FOLDER = dockerfile.ROOT / "deploy" / "k8s"
PAGE = (dockerfile.ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
SENTENCES = " ".join(PAGE.split())
MANIFESTS = sorted(
    path for path in FOLDER.rglob("*.yaml") if path.name not in ("kustomization.yaml", "prometheus-adapter.yaml")
)
OTHERS = {"ServiceMonitor"}
"""Kinds that Kubernetes itself does not know."""
MAX_CONNECTIONS = 100
"""PostgreSQL's default, of which a few are kept for its superuser."""


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def one(name: str) -> dict[str, Any]:
    (found,) = documents(FOLDER / name)
    return found


DEPLOYMENT = one("base/deployment.yaml")["spec"]
JOB = one("base/schema-job.yaml")["spec"]
SHELL = one("base/shell.yaml")["spec"]
SERVICE = one("base/service.yaml")["spec"]
AUTOSCALER = one("autoscaling/autoscaler.yaml")["spec"]
PODS = {
    "service": DEPLOYMENT["template"],
    "schema": JOB["template"],
    "shell": SHELL["jobTemplate"]["spec"]["template"],
}
POLICIES = {
    policy["metadata"]["name"]: policy["spec"]
    for name in ("base", "autoscaling")
    for policy in documents(FOLDER / name / "network-policy.yaml")
}


def container(component: str) -> dict[str, Any]:
    (found,) = PODS[component]["spec"]["containers"]
    return dict(found)


CONTAINER = container("service")


def generated(name: str) -> dict[str, str]:
    """The literals of a folder's ConfigMap."""
    (made,) = one(f"{name}/kustomization.yaml")["configMapGenerator"]
    assert made["name"] == CONTAINER["envFrom"][0]["configMapRef"]["name"]
    return dict(literal.split("=", 1) for literal in made["literals"])


def settings() -> Settings:
    secrets = {"VOUCH_MASTER_KEY": "A" * 43 + "="}
    found = dockerfile.vouch_variables(dockerfile.environment() | generated("base") | secrets)
    return load_settings(found)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_manifest_fits_the_schema(path: Path) -> None:
    for document in documents(path):
        if document["kind"] not in OTHERS:
            kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_every_manifest_of_a_folder_is_applied() -> None:
    for name in ("base", "autoscaling", "example"):
        listed = {resource for resource in one(f"{name}/kustomization.yaml")["resources"] if resource.endswith(".yaml")}
        assert listed == {path.name for path in MANIFESTS if path.parent.name == name}


def test_kustomize_builds_what_is_meant() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl")
    built = subprocess.run(
        [kubectl, "kustomize", str(FOLDER / "example")], capture_output=True, text=True, timeout=60, check=False
    )
    assert built.returncode == 0, built.stderr
    found = {(item["kind"], item["metadata"]["name"]): item for item in yaml.safe_load_all(built.stdout)}
    deployment = found["Deployment", "vouch"]["spec"]
    assert "replicas" not in deployment
    (image,) = one("example/kustomization.yaml")["images"]
    pods = [
        deployment["template"],
        found["Job", "vouch-schema"]["spec"]["template"],
        found["CronJob", "vouch-shell"]["spec"]["jobTemplate"]["spec"]["template"],
    ]
    for pod in pods:
        (run,) = pod["spec"]["containers"]
        assert run["image"] == f"{image['newName']}:{image['newTag']}"
        config = found["ConfigMap", run["envFrom"][0]["configMapRef"]["name"]]
        assert config["data"] == generated("base") | generated("example")
    assert found["NetworkPolicy", "to-postgres"]["spec"]["egress"][0]["to"] == [{"ipBlock": {"cidr": "192.0.2.10/32"}}]
    for item in found.values():
        if item["kind"] not in OTHERS:
            kubernetes_validate.validate(item, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("folder", ["base", "example"])
def test_what_is_set_are_settings(folder: str) -> None:
    known = {variable(field) for field in Settings.model_fields}
    assert set(generated(folder)) <= known
    assert {entry["name"] for entry in CONTAINER["env"]} - {"PGPASSWORD"} <= known


def test_what_is_set_starts_a_service_on_postgresql() -> None:
    found = settings()
    assert found.store_url.startswith("postgresql+psycopg://vouch@")
    assert found.bootstrap_key_file is None
    assert not found.allow_keyless
    assert not is_loopback(found.host)


def test_the_secret_s_example_has_what_is_asked_for_and_starts_nothing() -> None:
    example = one("secret.example.yaml")
    asked_for = {
        (entry["valueFrom"]["secretKeyRef"]["name"], entry["valueFrom"]["secretKeyRef"]["key"])
        for entry in CONTAINER["env"]
    }
    assert asked_for == {(example["metadata"]["name"], key) for key in example["stringData"]}
    made = set(re.findall(r"--from-literal=([a-z-]+)=", PAGE.partition("secret generic vouch-metrics")[0]))
    assert made == set(example["stringData"])
    assert all(" " in value for value in example["stringData"].values())
    assert all("password" not in value.lower() for value in (generated("base") | generated("example")).values())


@pytest.mark.parametrize("component", PODS)
def test_every_pod_may_as_little_as_the_image_needs(component: str) -> None:
    pod, run = PODS[component]["spec"], container(component)
    uid, gid = dockerfile.user()
    assert pod["enableServiceLinks"] is False
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": gid,
        "fsGroup": gid,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert run["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["mountPath"] for mount in run["volumeMounts"]} == {"/tmp", *dockerfile.arguments("VOLUME")}
    assert (run["env"], run["envFrom"]) == (CONTAINER["env"], CONTAINER["envFrom"])
    assert PODS[component]["metadata"]["labels"] == {
        "app.kubernetes.io/name": "vouch",
        "app.kubernetes.io/component": component,
    }
    assert "memory" in run["resources"]["limits"]


def test_the_commands_are_vouch_s() -> None:
    tree: Any = typer.main.get_command(cli)
    typed = re.findall(r"-- vouch ([a-z-]+) ([a-z-]+)", PAGE)
    assert typed
    assert all(command in tree.commands[group].commands for group, command in typed)
    assert {container(component)["args"][0] for component in ("service", "schema")} <= set(tree.commands)
    assert set(re.findall(r"--scope (\w+)", PAGE)) <= set(SCOPES)


def test_probes_ask_what_there_is_where_it_is() -> None:
    paths = {route.path for route in route_service.router.routes if isinstance(route, APIRoute)}
    (port,) = CONTAINER["ports"]
    assert port["containerPort"] == dockerfile.port() == settings().port
    for probe, path in (("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")):
        assert CONTAINER[probe]["httpGet"] == {"path": path, "port": port["name"]}
        assert path in paths
    assert SERVICE["ports"][0]["targetPort"] == port["name"]
    budget = one("base/disruption-budget.yaml")["spec"]
    labels = PODS["service"]["metadata"]["labels"]
    assert SERVICE["selector"] == DEPLOYMENT["selector"]["matchLabels"] == budget["selector"]["matchLabels"] == labels


def test_a_replica_that_stops_is_out_before_it_takes_no_more_and_is_killed_after_its_calls() -> None:
    probe, found = CONTAINER["readinessProbe"], settings()
    assert probe["failureThreshold"] * (probe["periodSeconds"] + probe["timeoutSeconds"]) < found.drain_s
    assert PODS["service"]["spec"]["terminationGracePeriodSeconds"] > found.drain_s + GRACE_S
    assert DEPLOYMENT["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_all_replicas_together_stay_within_the_database_s_connections() -> None:
    most = AUTOSCALER["maxReplicas"] + DEPLOYMENT["strategy"]["rollingUpdate"]["maxSurge"]
    n_connections = most * int(generated("base")["VOUCH_DATABASE_POOL"])
    assert n_connections < MAX_CONNECTIONS - 3
    assert (
        f"{most} replicas, with the one that a release adds, come to {n_connections} of the {MAX_CONNECTIONS}"
        in SENTENCES
    )


def test_the_autoscaler_asks_for_a_metric_that_is_exported_and_made() -> None:
    (metric,) = AUTOSCALER["metrics"]
    name = metric["pods"]["metric"]["name"]
    with serving() as client:
        assert name in {family.name for family in text_string_to_metric_families(client.get("/metrics").text)}
    (rule,) = one("autoscaling/prometheus-adapter.yaml")["rules"]["custom"]
    assert rule["seriesQuery"].startswith(name + "{")
    assert "name" not in rule  # as the series is called
    n_at_once = N_THREADS_PER_WORKER * int(CONTAINER["resources"]["limits"]["cpu"])
    target = int(metric["pods"]["target"]["averageValue"])
    assert 1 < target < n_at_once
    assert f"above {target} in each, of the {n_at_once} that two cores work on at once" in SENTENCES
    assert f"From {AUTOSCALER['minReplicas']} to {AUTOSCALER['maxReplicas']} replicas" in SENTENCES
    assert AUTOSCALER["minReplicas"] == DEPLOYMENT["replicas"] == 3
    assert AUTOSCALER["scaleTargetRef"]["name"] == one("base/deployment.yaml")["metadata"]["name"]


def test_prometheus_asks_every_replica_with_a_key_of_its_own() -> None:
    monitor = one("autoscaling/service-monitor.yaml")["spec"]
    assert monitor["selector"]["matchLabels"] == one("base/service.yaml")["metadata"]["labels"]
    (endpoint,) = monitor["endpoints"]
    assert endpoint["port"] == SERVICE["ports"][0]["name"]
    credentials = endpoint["authorization"]["credentials"]
    assert f"create secret generic {credentials['name']} --from-literal={credentials['key']}=" in PAGE


def test_the_network_lets_through_what_is_needed_and_nothing_else() -> None:
    assert set(POLICIES) == {"nothing", "from-ingress", "to-postgres", "from-prometheus"}
    assert POLICIES["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (egress,) = [policy["egress"] for policy in POLICIES.values() if "egress" in policy]
    assert [{port["port"] for port in rule["ports"]} for rule in egress] == [{5432}, {53}]
    ingress = [rule for policy in POLICIES.values() for rule in policy.get("ingress", [])]
    for rule in [*ingress, *egress]:
        selected = rule.get("from", rule.get("to"))
        assert all(set(peer) == {"namespaceSelector"} for peer in selected)
    assert {port["port"] for rule in ingress for port in rule["ports"]} == {CONTAINER["ports"][0]["name"]}


def test_the_page_gives_the_numbers() -> None:
    resources, probe = CONTAINER["resources"], CONTAINER["readinessProbe"]
    memory = [resources[kind]["memory"].removesuffix("Gi") for kind in ("requests", "limits")]
    for sentence in (
        f"{resources['limits']['cpu']} cores, {memory[0]} GiB of memory asked for and {memory[1]} GiB allowed",
        f"`/readyz` every {probe['periodSeconds']} s, out after {probe['failureThreshold']} failures",
        f"`VOUCH_DRAIN_S` ({settings().drain_s:g} s), then {GRACE_S} s for those in flight",
        f"killed after {PODS['service']['spec']['terminationGracePeriodSeconds']} s",
        ":".join(map(str, dockerfile.user())) + ", no capabilities",
        f"gone {JOB['ttlSecondsAfterFinished'] // 60} minutes later",
        f"`VOUCH_DATABASE_POOL` is {generated('base')['VOUCH_DATABASE_POOL']}",
        f"bodies of {2 * Settings().max_upload_mb + 1:g} MiB",
    ):
        assert sentence in SENTENCES, sentence


def test_the_page_s_files_and_objects_are_there() -> None:
    for path in re.findall(r"\]\(\.\./(deploy/k8s[^)]*)\)", PAGE):
        assert (dockerfile.ROOT / path).exists()
    for path in re.findall(r"`((?:base|example)/[\w.-]+)`", PAGE):
        assert (FOLDER / path).is_file()
    for kind, name in re.findall(r"\b(job|cronjob|deployment)/(vouch[\w-]*)", PAGE):
        files = {"job": "base/schema-job.yaml", "cronjob": "base/shell.yaml", "deployment": "base/deployment.yaml"}
        assert one(files[kind])["metadata"]["name"] == name
