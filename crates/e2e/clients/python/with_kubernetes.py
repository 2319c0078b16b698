"""What programs written with the Python package `kubernetes` do. KUBECONFIG names the server."""

import threading
import time

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.stream import portforward, stream

from common import LISTENS, SCRIPT, expect, step

NAME = "python-kubernetes"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": NAME, "labels": {"client": "kubernetes"}},
    "spec": {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 2,
        "containers": [{"name": "main", "image": "localhost/host", "command": ["sh", "-c", SCRIPT]}],
    },
}


def refused(status, reason, action):
    """The error that an action ends in, which has to be a typed one."""
    try:
        action()
    except ApiException as error:
        expect(error.status == status, error)
        expect(f'"reason":"{reason}"' in error.body.replace(" ", ""), error.body)
        return
    expect(False, f"{status} {reason} was expected")


def watch_pod(v1, since, seen):
    """Fills `seen` with what happens to the pod, until it is gone."""
    for event in watch.Watch().stream(
        v1.list_namespaced_pod, "default", resource_version=since, timeout_seconds=60
    ):
        if event["object"].metadata.name == NAME:
            seen.append((event["type"], event["object"]))
            if event["type"] == "DELETED":
                return


def execute(v1, command, text=None):
    """Standard output, standard error and the exit status of a command."""
    running = stream(
        v1.connect_get_namespaced_pod_exec,
        NAME,
        "default",
        command=command,
        stdin=text is not None,
        stdout=True,
        stderr=True,
        tty=False,
        _preload_content=False,
    )
    if text is not None:
        running.write_stdin(text)
    running.run_forever(timeout=30)
    return running.read_stdout(), running.read_stderr(), running.returncode


def fetch(v1):
    """A page of the pod, by a forwarded port."""
    forwarded = portforward(v1.connect_get_namespaced_pod_portforward, NAME, "default", ports="8080")
    socket = forwarded.socket(8080)
    socket.setblocking(True)
    socket.sendall(b"GET /page HTTP/1.0\r\n\r\n")
    page = b""
    while part := socket.recv(4096):
        page += part
    expect(forwarded.error(8080) is None, forwarded.error(8080))
    return page.decode()


def main():
    config.load_kube_config()
    v1 = client.CoreV1Api()
    step("version")
    expect(client.VersionApi().get_code().git_version.startswith("v1.36"), "version")
    step("list")
    pods = v1.list_namespaced_pod("default", limit=1)
    expect(pods.items == [] and pods.metadata.resource_version, pods)
    expect(len(v1.list_node().items) == 1, "one node")
    seen = []
    watching = threading.Thread(target=watch_pod, args=(v1, pods.metadata.resource_version, seen), daemon=True)
    watching.start()

    step("create")
    created = v1.create_namespaced_pod("default", POD)
    expect(created.metadata.uid and created.status.phase == "Pending", created)
    refused(409, "AlreadyExists", lambda: v1.create_namespaced_pod("default", POD))
    refused(404, "NotFound", lambda: v1.read_namespaced_pod("missing", "default"))

    step("wait")
    deadline = time.monotonic() + 30
    while v1.read_namespaced_pod_status(NAME, "default").status.phase != "Running":
        expect(time.monotonic() < deadline, "the pod does not run")
        time.sleep(0.05)

    step("patch")
    patched = v1.patch_namespaced_pod(NAME, "default", {"metadata": {"labels": {"tier": "a"}}})
    expect(patched.metadata.labels == {"client": "kubernetes", "tier": "a"}, patched.metadata.labels)
    patched.metadata.labels["tier"] = "b"
    replaced = v1.replace_namespaced_pod(NAME, "default", patched)
    expect(replaced.metadata.labels["tier"] == "b", replaced.metadata.labels)
    refused(409, "Conflict", lambda: v1.replace_namespaced_pod(NAME, "default", patched))

    step("exec")
    said = execute(v1, ["sh", "-c", "echo out; echo err >&2; exit 3"])
    expect(said == ("out\n", "err\n", 3), said)
    said = execute(v1, ["sh", "-c", "read -r line; echo got $line"], "hello\n")
    expect(said == ("got hello\n", "", 0), said)

    step("port-forward")
    expect(execute(v1, LISTENS)[2] == 0, "nothing listens")
    expect("forwarded" in fetch(v1), "no page")

    step("logs")
    expect(v1.read_namespaced_pod_log(NAME, "default") == "first\n", "log")
    following = watch.Watch().stream(v1.read_namespaced_pod_log, NAME, "default")
    expect(next(following) == "first", "the first line")
    expect(execute(v1, ["touch", "/tmp/enough"])[2] == 0, "touch")
    expect(list(following) == ["last"], "the last line")

    step("delete")
    v1.delete_namespaced_pod(NAME, "default")
    watching.join(30)
    kinds = [kind for kind, _ in seen]
    expect(kinds[0] == "ADDED" and kinds[-1] == "DELETED" and "MODIFIED" in kinds, kinds)
    expect(seen[-1][1].metadata.labels["tier"] == "b", seen[-1])
    refused(404, "NotFound", lambda: v1.delete_namespaced_pod(NAME, "default"))
    step("done")


main()
