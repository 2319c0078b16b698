//! Services, their names, and policies, on the way that packets go.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::outcome::skip;
use crate::pod::{Pod, probe};
use crate::registry::{Tool, require};
use crate::runner::{Test, tests};
use crate::suites::pod_network::require_perl;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    a_pod_waits_for_a_service,
    addresses_lead_to_pods,
    nobody_is_refused_late,
    names_of_services,
    names_outlive_engines,
    the_api_is_reached_from_pods,
    policies_hold_up,
];

/// Says its pod's name to whoever comes, by stream and by datagram.
const SERVE: &str = "perl -MIO::Socket::IP -e '
    sub udp { IO::Socket::IP->new(LocalHost => \"::\", LocalPort => 8080, V6Only => 0, Proto => \"udp\") or die \"$@\" }
    sub tcp { IO::Socket::IP->new(LocalHost => \"::\", LocalPort => 8080, V6Only => 0, Listen => 50) or die \"$@\" }
    if (!fork) { $u = udp(); while ($p = $u->recv($b, 99)) { $u->send(\"$ENV{POD}\\n\") } }
    $t = tcp(); while ($c = $t->accept) { print $c \"$ENV{POD}\\n\"; close $c }'";

/// Says what a server says.
fn ask(host: &str, port: u16) -> String {
    format!(
        "perl -MIO::Socket::IP -e '$s = IO::Socket::IP->new(PeerHost => \"{host}\", PeerPort => {port}, Timeout => 3) \
         or do {{ print \"none: $@\\n\"; exit 0 }}; print <$s>'"
    )
}

fn ask_by_datagram(host: &str, port: u16) -> String {
    format!(
        "perl -MIO::Socket::IP -e '$s = IO::Socket::IP->new(PeerHost => \"{host}\", PeerPort => {port}, Proto => \"udp\"); \
         alarm 5; $s->send(\"x\"); $s->recv($b, 99) // print \"none: $!\"; print $b'"
    )
}

/// A pod of `app` that serves once its file says so, or from the beginning.
fn server(name: &str, app: &str, is_ready: bool) -> Pod {
    let ready = if is_ready { "true" } else { "test -e /trace/$POD.ready" };
    let command = json!({"exec": {"command": ["sh", "-c", ready]}});
    let ready = probe("readinessProbe", &command, &json!({"periodSeconds": 1}));
    let labels = json!({"app": app});
    Pod::new(name)
        .labels(&labels)
        .spec(&json!({"terminationGracePeriodSeconds": 1}))
        .app_with("main", SERVE, &ready)
}

fn service(name: &str, spec: &Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "main", "port": 80, "targetPort": 8080}]},
    });
    for (field, value) in spec.as_object().into_iter().flatten() {
        service["spec"][field] = value.clone();
    }
    service
}

/// A cluster whose pod `client` stays, to ask from.
struct Town<'a> {
    bed: &'a Bed,
    cluster: Cluster<'a>,
}

impl<'a> Town<'a> {
    fn start(bed: &'a Bed) -> Result<Self> {
        require_perl()?;
        let town = Self { bed, cluster: Cluster::start(bed)? };
        town.cluster.apply_pod(&Pod::new("client").labels(&json!({"app": "client"})).app("main", "serve"))?;
        town.cluster.wait_ready("client")?;
        Ok(town)
    }

    fn apply(&self, object: &Value) -> Result<()> {
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let file = self.bed.file(&format!("{kind}-{name}.json"), &object.to_string())?;
        self.cluster.apply(&file).map(drop)
    }

    fn serve(&self, pod: &Pod) -> Result<()> {
        self.cluster.apply_pod(pod)?;
        self.cluster.wait_ready(pod.name())
    }

    /// What the client's shell says.
    fn say(&self, script: &str) -> Result<String> {
        self.say_in("client", script)
    }

    fn say_in(&self, pod: &str, script: &str) -> Result<String> {
        let finished = self.cluster.kubectl(["exec", pod, "--", "sh", "-c", script])?;
        Ok(finished.stdout.trim().to_owned())
    }

    /// Waits until that is what the client is told.
    fn wait(&self, script: &str, expected: &str) -> Result<()> {
        let mut last = String::new();
        wait::until(&format!("{expected:?} of {script}"), SOON, || {
            last = self.say(script).unwrap_or_default();
            last.contains(expected).then_some(())
        })
        .with_context(|| format!("the last answer was {last:?}"))
    }

    fn get(&self, kind: &str, name: &str, path: &str) -> Result<String> {
        self.cluster.output(&["get", kind, name, "-o", &format!("jsonpath={{{path}}}")])
    }
}

/// The init container asks until the Service leads to a pod that is ready, and not before.
fn a_pod_waits_for_a_service(bed: &Bed) -> Result<()> {
    require_perl()?;
    require(Tool::Netcat)?;
    let cluster = Cluster::start(bed)?;
    let town = Town { bed, cluster };
    let waits = "until nc -z -w 1 db 5432; do say waits; sleep 0.2; done; say goes";
    town.cluster.apply_pod(&Pod::new("web").init("wait", waits).app("main", "serve"))?;
    bed.trace.wait("wait waits", SOON)?;
    town.apply(&service("db", &json!({"ports": [{"port": 5432, "targetPort": 8080}]})))?;
    town.cluster.apply_pod(&server("db-0", "db", false))?;
    town.cluster.wait_output(&["get", "pod", "db-0", "-o", "jsonpath={.status.phase}"], "Running", SOON)?;
    bed.trace.expect_absent("wait goes")?;
    bed.trace.expect_absent("main start")?;
    bed.file("trace/db-0.ready", "")?;
    bed.trace.wait("wait goes", SOON)?;
    bed.trace.wait("main start", SOON)?;
    town.cluster.wait_ready("web")?;
    town.cluster.finish()
}

fn addresses_lead_to_pods(bed: &Bed) -> Result<()> {
    let town = Town::start(bed)?;
    let ports = json!([
        {"name": "main", "port": 80, "targetPort": 8080},
        {"name": "udp", "port": 81, "targetPort": 8080, "protocol": "UDP"},
    ]);
    town.apply(&service("web", &json!({"type": "NodePort", "ports": ports})))?;
    town.serve(&server("one", "web", true))?;
    let address = town.get("service", "web", ".spec.clusterIP")?;
    town.wait(&ask(&address, 80), "one")?;
    town.wait(&ask_by_datagram(&address, 81), "one")?;
    town.serve(&server("two", "web", true))?;
    town.wait(&ask(&address, 80), "two")?;
    // Both have their share.
    let many = format!("for i in $(seq 40); do {}; done | sort | uniq -c", ask(&address, 80));
    let said = town.say(&many)?;
    ensure!(said.contains(" one") && said.contains(" two") && !said.contains("none"), "{said}");
    // A pod that asks the Service that it is behind itself may be led to itself.
    let said = town.say_in("one", &many)?;
    ensure!(said.contains(" one") && said.contains(" two") && !said.contains("none"), "{said}");
    let node_port: u16 = town.get("service", "web", ".spec.ports[0].nodePort")?.parse()?;
    let machine = town.get("pod", "client", ".status.hostIP")?;
    for host in ["127.0.0.1", &machine] {
        let output = std::process::Command::new("sh").args(["-c", &ask(host, node_port)]).output()?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(said == "one" || said == "two", "{host}:{node_port}: {said}");
    }
    // The same client is led to the same pod.
    town.apply(&service("sticky", &json!({"selector": {"app": "web"}, "sessionAffinity": "ClientIP"})))?;
    let sticky = town.get("service", "sticky", ".spec.clusterIP")?;
    town.wait(&ask(&sticky, 80), "o")?;
    let said = town.say(&many.replace(&address, &sticky))?;
    ensure!(said.lines().count() == 1 && said.starts_with("40 "), "{said}");
    town.cluster.finish()
}

fn nobody_is_refused_late(bed: &Bed) -> Result<()> {
    let town = Town::start(bed)?;
    town.apply(&service("web", &json!({})))?;
    let address = town.get("service", "web", ".spec.clusterIP")?;
    let began = Instant::now();
    town.wait(&ask(&address, 80), "refused")?;
    ensure!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    bed.file("trace/one.ready", "")?;
    town.serve(&server("one", "web", false))?;
    town.wait(&ask(&address, 80), "one")?;
    // Not ready any more: it is led nowhere.
    std::fs::remove_file(bed.dir().join("trace/one.ready"))?;
    town.wait(&ask(&address, 80), "refused")?;
    town.cluster.finish()
}

fn names_of_services(bed: &Bed) -> Result<()> {
    let town = Town::start(bed)?;
    town.apply(&service("web", &json!({})))?;
    town.apply(&service("db", &json!({"clusterIP": "None"})))?;
    town.apply(&service(
        "other",
        &json!({"type": "ExternalName", "externalName": "web.default.svc.cluster.local"}),
    ))?;
    town.serve(&server("one", "web", true))?;
    town.serve(&server("db-0", "db", true).spec(&json!({"hostname": "db-0", "subdomain": "db"})))?;
    town.serve(&server("db-1", "db", true))?;
    let address = town.get("service", "web", ".spec.clusterIP")?;
    let ip = |pod: &str| town.get("pod", pod, ".status.podIP");
    let (first, second) = (ip("db-0")?, ip("db-1")?);
    let find = |name: &str| format!("getent ahostsv4 {name} | grep STREAM | cut -d' ' -f1 | sort | xargs");
    let mut both = [first.as_str(), second.as_str()];
    both.sort_unstable();
    for (name, expected) in [
        ("web", address.as_str()),
        ("web.default", &address),
        ("web.default.svc", &address),
        ("web.default.svc.cluster.local", &address),
        ("web.default.svc.cluster.local.", &address),
        ("WEB", &address),
        ("other", &address),
        ("db-0.db", &first),
        ("db", &both.join(" ")),
        (&format!("{}.db", second.replace('.', "-")), &second),
        (&format!("{}.default.pod", second.replace('.', "-")), &second),
        (&format!("{}.default.pod.cluster.local", second.replace('.', "-")), &second),
        ("absent", ""),
        ("one", ""),
    ] {
        town.wait(&find(name), expected)?;
        let said = town.say(&find(name))?;
        ensure!(said == expected, "{name}: {said:?}, expected {expected:?}");
    }
    let said = town.say(&format!("getent hosts {address} {first}"))?;
    ensure!(said.contains("web.default.svc.cluster.local"), "{said}");
    ensure!(said.contains("db-0.db.default.svc.cluster.local"), "{said}");
    ensure!(town.say(&ask("web", 80))? == "one");
    let said = town.say_in("db-0", "getent hosts db-0; hostname -f 2>/dev/null || cat /etc/hosts")?;
    ensure!(said.contains("db-0.db.default.svc.cluster.local"), "{said}");
    if std::path::Path::new("/usr/bin/dig").exists() {
        let said = town.say("dig +short SRV _main._tcp.db.default.svc.cluster.local | sort")?;
        ensure!(said.contains("0 50 8080 db-0.db.default.svc.cluster.local."), "{said}");
        let said = town.say("dig +short +tcp TXT dns-version.cluster.local")?;
        ensure!(said == "\"1.1.0\"", "{said}");
        let said = town.say("dig +tries=1 absent.default.svc.cluster.local")?;
        ensure!(said.contains("NXDOMAIN") && said.contains("SOA"), "{said}");
    }
    town.cluster.finish()
}

/// What is known is answered soon after an engine is there again, and what rules say holds meanwhile.
fn names_outlive_engines(bed: &Bed) -> Result<()> {
    let mut town = Town::start(bed)?;
    town.apply(&service("web", &json!({})))?;
    town.serve(&server("one", "web", true))?;
    town.wait(&ask("web", 80), "one")?;
    let address = town.get("service", "web", ".spec.clusterIP")?;
    town.cluster.kill()?;
    let output = std::process::Command::new("sh").args(["-c", &ask(&address, 80)]).output()?;
    ensure!(
        String::from_utf8_lossy(&output.stdout).trim() == "one",
        "rules hold without an engine: {output:?}"
    );
    town.cluster.serve()?;
    let said = town.say("getent ahostsv4 web | head -n 1")?;
    ensure!(said.starts_with(&address), "{said}");
    ensure!(town.say(&ask("web", 80))? == "one");
    ensure!(town.get("service", "web", ".spec.clusterIP")? == address, "its address is what it was");
    town.cluster.finish()
}

fn the_api_is_reached_from_pods(bed: &Bed) -> Result<()> {
    let town = Town::start(bed)?;
    if !std::path::Path::new("/usr/bin/curl").exists() {
        return skip("needs curl");
    }
    let secrets = "/var/run/secrets/kubernetes.io/serviceaccount";
    for host in ["kubernetes.default", "kubernetes.default.svc", "$KUBERNETES_SERVICE_HOST"] {
        let said = town.say(&format!(
            "curl -sS --max-time 5 --cacert {secrets}/ca.crt -H \"Authorization: Bearer $(cat {secrets}/token)\" \
             https://{host}:${{KUBERNETES_SERVICE_PORT:-443}}/api/v1/namespaces/default/pods 2>&1"
        ))?;
        let answer: Value = serde_json::from_str(&said).with_context(|| format!("{host}: {said}"))?;
        let who = "system:serviceaccount:default:default";
        ensure!(answer["message"].as_str().is_some_and(|message| message.contains(who)), "{host}: {answer}");
    }
    town.cluster.finish()
}

fn policies_hold_up(bed: &Bed) -> Result<()> {
    let town = Town::start(bed)?;
    let policy = |name: &str, spec: &Value| json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec});
    town.apply(&service("web", &json!({})))?;
    town.serve(&server("one", "web", true))?;
    town.wait(&ask("web", 80), "one")?;
    let address = town.get("pod", "one", ".status.podIP")?;
    town.apply(&policy(
        "deny",
        &json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]}),
    ))?;
    town.wait(&ask("web", 80), "none")?;
    ensure!(town.say(&ask(&address, 8080))?.starts_with("none"), "by its own address, too");
    ensure!(town.say_in("one", &ask("127.0.0.1", 8080))? == "one", "a pod reaches itself");
    // A pod that begins is held up from its first packet on, also when nobody but itself is isolated.
    town.serve(&server("open", "open", true))?;
    let open = ask(&town.get("pod", "open", ".status.podIP")?, 8080);
    let alone = json!({"podSelector": {"matchLabels": {"app": "early"}}, "policyTypes": ["Egress"]});
    town.apply(&policy("early", &alone))?;
    let early = Pod::new("early")
        .labels(&json!({"app": "early"}))
        .app("main", &format!("{open} > /trace/early.said; say asked; serve"));
    town.cluster.apply_pod(&early)?;
    bed.trace.wait("main asked", SOON)?;
    let said = std::fs::read_to_string(bed.dir().join("trace/early.said"))?;
    ensure!(said.starts_with("none"), "{said}");
    town.cluster.output(&["delete", "networkpolicy", "early"])?;
    let said =
        wait::until("it is let out", SOON, || town.say_in("early", &open).ok().filter(|said| said == "open"));
    said?;
    let allow = json!({
        "podSelector": {"matchLabels": {"app": "web"}},
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": 8080}]}],
    });
    town.apply(&policy("allow", &allow))?;
    town.wait(&ask("web", 80), "one")?;
    ensure!(town.say_in("early", &ask(&address, 8080))?.starts_with("none"), "only those that are named");
    // Names only, as policies of other clusters say it; then nothing at all.
    let to = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    });
    let names = json!([{"to": [to], "ports": [{"port": 53, "protocol": "UDP"}]}]);
    let client = json!({"matchLabels": {"app": "client"}});
    let egress = json!({"podSelector": client, "policyTypes": ["Egress"], "egress": names});
    town.apply(&policy("names", &egress))?;
    town.wait(&ask("web", 80), "none: Connection")?;
    town.apply(&policy("names", &json!({"podSelector": client, "policyTypes": ["Egress"], "egress": []})))?;
    town.wait(&ask("web", 80), "none: Temporary failure in name resolution")?;
    town.cluster.output(&["delete", "networkpolicy", "--all"])?;
    town.wait(&ask(&address, 8080), "one")?;
    let said = wait::until("all are let in", SOON, || {
        town.say_in("early", &ask(&address, 8080)).ok().filter(|said| said == "one")
    });
    said?;
    town.cluster.finish()
}
