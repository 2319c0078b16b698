"""What programs written with the Python package `kr8s` do. KUBECONFIG names the server."""

import threading
import urllib.request

import kr8s
from kr8s.objects import ConfigMap, Node, Pod

from common import LISTENS, SCRIPT, expect, step

NAME = "python-kr8s"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": NAME, "namespace": "default", "labels": {"client": "kr8s"}},
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
    except kr8s.ServerError as error:
        expect(error.response.status_code == status and error.status["reason"] == reason, error)
        return
    expect(False, f"{status} {reason} was expected")


def watch_pod(seen):
    """Fills `seen` with what happens to the pod, until it is gone."""
    for kind, pod in kr8s.watch("pods", namespace="default", label_selector={"client": "kr8s"}):
        seen.append((kind, pod))
        if kind == "DELETED":
            return


def fetch(pod):
    """A page of the pod, by a forwarded port."""
    with pod.portforward(remote_port=8080) as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=10) as page:
            return page.read().decode()


def main():
    step("version")
    expect(kr8s.version()["gitVersion"].startswith("v1.36"), "version")
    step("list")
    expect(list(kr8s.get("pods", namespace="default")) == [], "no pods")
    expect([node.kind for node in Node.list()] == ["Node"], "one node")
    seen = []
    watching = threading.Thread(target=watch_pod, args=(seen,), daemon=True)
    watching.start()

    step("create")
    pod = Pod(POD)
    pod.create()
    expect(pod.metadata.uid and pod.status.phase == "Pending", pod.raw)
    refused(409, "AlreadyExists", lambda: Pod(POD).create())
    try:
        Pod.get("missing", namespace="default")
        expect(False, "a missing pod was found")
    except kr8s.NotFoundError:
        pass
    settings = ConfigMap({"metadata": {"name": "kr8s", "namespace": "default"}, "data": {"a": "one"}})
    settings.create()
    expect(ConfigMap.get("kr8s", namespace="default").data.a == "one", "data")

    step("wait")
    pod.wait("condition=Ready", timeout=30)
    expect(pod.ready(), "ready")

    step("patch")
    pod.patch({"metadata": {"labels": {"tier": "a"}}})
    pod.label(tier="b")
    pod.annotate(note="hello")
    pod.refresh()
    expect(pod.labels == {"client": "kr8s", "tier": "b"} and pod.annotations["note"] == "hello", pod.raw)
    stale = {"metadata": {"resourceVersion": "1", "labels": {"tier": "c"}}}
    refused(409, "Conflict", lambda: pod.patch(stale))

    step("exec")
    said = pod.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    expect((said.stdout, said.stderr, said.returncode) == (b"out\n", b"err\n", 3), said)
    said = pod.exec(["echo", "well"])
    expect((said.stdout, said.returncode) == (b"well\n", 0), said)

    step("port-forward")
    pod.exec(LISTENS)
    expect("forwarded" in fetch(pod), "no page")

    step("logs")
    expect(list(pod.logs()) == ["first"], "log")
    following = pod.logs(follow=True, timeout=30)
    expect(next(following) == "first", "the first line")
    pod.exec(["touch", "/tmp/enough"])
    expect(list(following) == ["last"], "the last line")

    step("delete")
    pod.delete()
    pod.wait("delete", timeout=30)
    watching.join(30)
    kinds = [kind for kind, _ in seen]
    expect(kinds[0] == "ADDED" and kinds[-1] == "DELETED" and "MODIFIED" in kinds, kinds)
    try:
        pod.delete()
        expect(False, "a pod was deleted twice")
    except kr8s.NotFoundError:
        pass
    step("done")


main()
