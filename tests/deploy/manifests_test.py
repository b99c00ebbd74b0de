# SPDX-License-Identifier: Apache-2.0
"""Holds the manifests against Kubernetes' schemas and KServe's own classes, and starts the program as their containers do:

    manifests_test.py PROGRAM FOLDER      FOLDER has kubernetes.yaml and kserve.yaml"""

import importlib
import importlib.util
import pathlib
import re
import subprocess
import sys
import tempfile
import types
import urllib.request

import kubernetes_validate
import yaml

PROGRAM, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
PLAIN = {"str": str, "int": int, "bool": bool, "float": float}


def read(name):
    return {document["kind"]: document for document in yaml.safe_load_all((FOLDER / name).read_text())}


def load_kserve():
    """KServe's classes without its __init__, which would import a web server, pandas and more."""
    spec = importlib.util.find_spec("kserve")
    for name in ("kserve", "kserve.models"):
        module = types.ModuleType(name)
        module.__path__ = [str(pathlib.Path(spec.submodule_search_locations[0], *name.split(".")[1:]))]
        sys.modules[name] = module


def kserve_class(name):
    module = "v" + re.sub(r"(?<!^)(?=[A-Z])", "_", name)[1:].lower()
    return getattr(importlib.import_module("kserve.models." + module), name)


def check_kserve(kind, value, place):
    """Whether `value` has the fields of one of KServe's types and no others. Those of Kubernetes' types are checked as a pod's."""
    if match := re.fullmatch(r"list\[(.+)\]|dict\(str, (.+)\)", kind):
        for key, one in enumerate(value) if match[1] else value.items():
            check_kserve(match[1] or match[2], one, f"{place}[{key}]")
    elif kind in PLAIN:
        assert isinstance(value, PLAIN[kind]), f"{place}: expected {kind}, found {value}"
    elif re.match(r"V1(alpha|beta)", kind):
        known = kserve_class(kind)
        names = {name: attribute for attribute, name in known.attribute_map.items()}
        for name, one in value.items():
            assert name in names, f"{place}: {kind} has no field {name}"
            check_kserve(known.openapi_types[names[name]], one, f"{place}.{name}")
        known(**{names[name]: one for name, one in value.items()})  # which wants what must be there


def validate(document):
    kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def start(container, replaced):
    """Starts the program with a container's arguments, and asks it what the kubelet would."""
    arguments = ["serve", "--host", "0.0.0.0", *container["args"], "--port", "0"]
    for name, value in replaced.items():
        arguments = [argument.replace(name, value) for argument in arguments]
    server = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        assert line.startswith("listening on"), (arguments, server.stderr.read())
        port = line.rsplit(":", 1)[1].strip()
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                path = container[probe]["httpGet"]["path"]
                assert urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").status == 200, probe
        server.terminate()
        assert server.wait(timeout=30) == 0
    finally:
        server.kill()


def check_kubernetes(folder):
    documents = read("kubernetes.yaml")
    for document in documents.values():
        validate(document)
        assert document["metadata"]["namespace"] == "gcvit"
    deployment = documents["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    container = pod["containers"][0]
    labels = deployment["template"]["metadata"]["labels"].items()
    for selector in (deployment["selector"]["matchLabels"], documents["Service"]["spec"]["selector"],
                     documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
                     documents["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
                     pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"]):
        assert selector.items() <= labels, selector
    ports = {port["name"] for port in container["ports"]}
    assert {documents["Service"]["spec"]["ports"][0]["targetPort"], container["readinessProbe"]["httpGet"]["port"],
            documents["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"]} <= ports
    target = documents["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", documents["Deployment"]["metadata"]["name"])
    drain = int(container["args"][container["args"].index("--drain") + 1]) / 1000
    assert pod["terminationGracePeriodSeconds"] > drain + container["lifecycle"]["preStop"]["sleep"]["seconds"]
    (folder / "keys").write_text("0123456789abcdef\n")
    start(container, {"/keys/keys": str(folder / "keys")})


def check_kserve_manifests(folder):
    documents = read("kserve.yaml")
    for kind, version in (("ServingRuntime", "V1alpha1"), ("InferenceService", "V1beta1")):
        check_kserve(version + kind, documents[kind], kind)
        assert documents[kind]["apiVersion"] == f"serving.kserve.io/{version.lower()}"
    runtime, model = documents["ServingRuntime"], documents["InferenceService"]["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"]["name"] in [one["name"] for one in runtime["spec"]["supportedModelFormats"]]
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "runtime"},
              "spec": {"containers": runtime["spec"]["containers"]}})
    (folder / "model.safetensors").symlink_to(FOLDER.resolve().parent / "models/gcvit_flowers.safetensors")
    start(runtime["spec"]["containers"][0], {"{{.Name}}": "flowers", "/mnt/models": str(folder)})


def main():
    load_kserve()
    with tempfile.TemporaryDirectory() as folder:
        check_kubernetes(pathlib.Path(folder))
        check_kserve_manifests(pathlib.Path(folder))
    # The checks themselves.
    broken = read("kubernetes.yaml")["Deployment"]
    broken["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    try:
        validate(broken)
        raise SystemExit("a misspelt field passed Kubernetes' schema")
    except kubernetes_validate.ValidationError:
        pass
    try:
        check_kserve("V1beta1ModelSpec", {"modelFormat": {"nam": "gcvit"}}, "model")
        raise SystemExit("a misspelt field passed KServe's classes")
    except AssertionError:
        pass
    print(f"manifests: Kubernetes {kubernetes_validate.latest_version()} and KServe know every field, and the program starts as they say")


main()
