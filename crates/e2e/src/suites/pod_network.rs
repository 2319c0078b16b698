//! Addresses of pods: who reaches whom, and that nothing of it is left.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use nftables::{Base, Chain, ChainType, Hook, Nftables, Operation, Policy, Transaction};
use serde_json::{Value, json};

use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::outcome::skip;
use crate::pod::Pod;
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::suites::require_root;
use crate::suites::user_namespaces::require_id_maps;
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    pods_reach_one_another_and_the_machine,
    users_of_their_own_have_a_network,
    addresses_outlive_engines,
    ranges_are_what_was_asked_for,
    nothing_is_left_of_it,
    without_a_network_pods_have_their_loopback,
    what_is_in_the_way_is_said,
    runs_side_by_side,
];

/// Answers each connection with the address that it came from.
const SERVE: &str = "perl -MIO::Socket::IP -MSocket -e '
    $s = IO::Socket::IP->new(LocalHost => \"::\", LocalPort => 8080, V6Only => 0, Listen => 5) or die \"$@\";
    open(F, \">>\", \"/trace/log\"); syswrite(F, \"$ENV{NAME} listening\\n\");
    while ($c = $s->accept) { print $c $c->peerhost, \"\\n\"; close $c }'";

pub(super) fn require_perl() -> Result<()> {
    require_root()?;
    let has =
        Command::new("perl").args(["-MIO::Socket::IP", "-e", "1"]).output().is_ok_and(|o| o.status.success());
    if has { Ok(()) } else { skip("needs perl with IO::Socket::IP") }
}

/// A command that says what a server at `address` answers.
fn ask(address: &str) -> String {
    format!(
        "perl -MIO::Socket::IP -e '$s = IO::Socket::IP->new(PeerHost => \"{address}\", PeerPort => 8080, Timeout => 5) \
         or do {{ print \"none: $@\\n\"; exit 0 }}; print <$s>'"
    )
}

fn ips(status: &Value) -> Vec<String> {
    let ips = status["podIPs"].as_array().into_iter().flatten();
    ips.filter_map(|ip| ip["ip"].as_str().map(str::to_owned)).collect()
}

/// What this machine is told by a server.
fn asked_from_here(address: &str) -> Result<String> {
    let output = Command::new("sh").args(["-c", &ask(address)]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().replace("::ffff:", ""))
}

/// What a pod that does only this is told by a server.
fn asked_from(
    bed: &Bed,
    pods: &Pods<'_>,
    pod: &Pod,
    name: &str,
    address: &str,
) -> Result<(String, Vec<String>)> {
    let script = format!("echo \"{name} asked $({})\" >> /trace/log; live", ask(address));
    pods.create(&pod.clone().app("main", &script))?;
    let mark = format!("{name} asked ");
    let line =
        wait::until(&mark, SOON, || bed.trace.lines().into_iter().find(|line| line.starts_with(&mark)))?;
    let told = line.replace(&mark, "").replace("::ffff:", "");
    Ok((told, ips(&pods.wait_phase(name, "Running")?)))
}

fn pods_reach_one_another_and_the_machine(bed: &Bed) -> Result<()> {
    require_perl()?;
    let pods = Pods::start(bed)?;
    pods.create(&Pod::new("server").app("main", SERVE))?;
    bed.trace.wait("main listening", SOON)?;
    let server = ips(&pods.wait_phase("server", "Running")?);
    ensure!(server.len() == 2, "{server:?}");
    for (family, address) in server.iter().enumerate() {
        let gateway = if family == 0 { "10.200.0.1" } else { "::1" };
        let told = asked_from_here(address)?;
        ensure!(told.ends_with(gateway), "this machine is {told} to {address}");
        let name = format!("client-{family}");
        let (told, own) = asked_from(bed, &pods, &Pod::new(&name), &name, address)?;
        ensure!(told == own[family], "{own:?} is {told} to {address}");
    }
    let (told, _) = asked_from(bed, &pods, &Pod::new("nobody"), "nobody", "10.200.99.99")?;
    ensure!(told.contains("No route to host"), "{told}");
    pods.finish()
}

fn users_of_their_own_have_a_network(bed: &Bed) -> Result<()> {
    require_perl()?;
    require_id_maps()?;
    let pods = Pods::start(bed)?;
    pods.create(&Pod::new("server").app("main", SERVE))?;
    bed.trace.wait("main listening", SOON)?;
    let server = ips(&pods.wait_phase("server", "Running")?);
    let apart = Pod::new("apart").spec(&json!({"hostUsers": false}));
    let (told, own) = asked_from(bed, &pods, &apart, "apart", &server[0])?;
    ensure!(told == own[0], "{own:?} is {told}");
    let host = Pod::new("host").spec(&json!({"hostNetwork": true}));
    let (told, own) = asked_from(bed, &pods, &host, "host", &server[0])?;
    ensure!(told == "10.200.0.1" && own[0] == told, "{own:?} is {told}");
    pods.finish()
}

fn addresses_outlive_engines(bed: &Bed) -> Result<()> {
    require_perl()?;
    let mut cluster = Cluster::start(bed)?;
    let address = |cluster: &Cluster<'_>, name: &str| {
        cluster.output(&["get", "pod", name, "-o", "jsonpath={.status.podIPs[*].ip}"])
    };
    cluster.apply_pod(&Pod::new("kept").app("main", SERVE))?;
    cluster.wait_ready("kept")?;
    bed.trace.wait("main listening", SOON)?;
    let before = address(&cluster, "kept")?;
    let first = before.split(' ').next().context("an address")?.to_owned();
    let mut given = BTreeSet::from([before.clone()]);
    for round in 0..3 {
        if round == 0 {
            cluster.stop()?
        } else {
            cluster.kill()?
        };
        ensure!(asked_from_here(&first)? == "10.200.0.1", "it is reached without an engine");
        cluster.serve()?;
        for number in 0..8 {
            let name = format!("new-{round}-{number}");
            cluster.apply_pod(&Pod::new(&name).app("main", "serve"))?;
            cluster.wait_ready(&name)?;
            let new = address(&cluster, &name)?;
            ensure!(given.insert(new.clone()), "{new} is given twice");
        }
        ensure!(address(&cluster, "kept")? == before);
        ensure!(asked_from_here(&first)? == "10.200.0.1");
    }
    cluster.finish()
}

fn ranges_are_what_was_asked_for(bed: &Bed) -> Result<()> {
    require_root()?;
    let serve = |args: &[&str]| {
        let mut command = Command::new(bed.program());
        command.arg("--root").arg(bed.root()).args(["serve", "--listen", "127.0.0.1:0"]).args(args);
        command
    };
    let (route, add) = (["10.50.0.0/16"], ["route", "add", "unreachable"]);
    let Ok(added) = Command::new("ip").args(add).args(route).status() else {
        return skip("needs ip (iproute2)");
    };
    ensure!(added.success());
    let refused = bed.finish(&mut serve(&["--pod-cidr", "10.50.3.0/24"]))?;
    refused.expect_code(1)?;
    refused.expect_output("10.50.3.0/24")?.expect_output("10.50.0.0/16")?.expect_output("--pod-cidr")?;
    let args = ["--pod-cidr", "10.60.0.0/29", "--service-cidr", "10.61.0.0/24"];
    let cluster = Cluster::start_with_args(bed, crate::kubectl::Kubectl::newest()?, &args)?;
    let of_node = cluster.output(&["get", "node", "-o", "jsonpath={.items[0].spec.podCIDR}"])?;
    ensure!(of_node == "10.60.0.0/29", "{of_node}");
    for number in 0..5 {
        cluster.apply_pod(&Pod::new(&format!("p{number}")).app("main", "serve"))?;
        cluster.wait_ready(&format!("p{number}"))?;
    }
    cluster.apply_pod(&Pod::new("late").app("main", "serve"))?;
    let said = || cluster.output(&["get", "events", "-o", "jsonpath={.items[*].message}"]);
    wait::until("an event about the range", SOON, || {
        said().ok().filter(|said| said.contains("all 5 addresses of 10.60.0.0/29")).map(drop)
    })?;
    cluster.output(&["delete", "pod", "p3", "--now"])?;
    cluster.wait_ready("late")?;
    cluster.finish()
}

/// Routes, rules, interfaces and parameters of this machine.
fn machine() -> Result<String> {
    let script = "ip -o link | cut -d' ' -f2; ip route show table all; ip -6 route show table all | grep -v ^multicast; \
                  grep . /proc/sys/net/ipv4/conf/*/forwarding /proc/sys/net/ipv6/conf/*/forwarding \
                  /proc/sys/net/ipv6/conf/*/force_forwarding";
    let output = Command::new("sh").args(["-c", script]).output()?;
    let rules = Nftables::open()?.chain_names()?;
    Ok(format!("{}{rules:?}", String::from_utf8_lossy(&output.stdout)))
}

fn nothing_is_left_of_it(bed: &Bed) -> Result<()> {
    require_root()?;
    let uplink = "ip link add up0 type veth peer name up1 && ip addr add 192.0.2.1/24 dev up0 && \
                  echo 0 | tee /proc/sys/net/ipv6/conf/up[01]/accept_dad && ip link set up0 up && ip link set up1 up && ip route add default via 192.0.2.254 && \
                  echo 0 > /proc/sys/net/ipv4/conf/up0/forwarding";
    if !Command::new("sh").args(["-c", uplink]).status()?.success() {
        return skip("needs ip (iproute2)");
    }
    // Its addresses come when the link is up, which takes a moment.
    let mut before = machine()?;
    wait::until("the link is up", SOON, || {
        let now = machine().ok()?;
        (std::mem::replace(&mut before, now.clone()) == now && now.contains("fe80::")).then_some(())
    })?;
    let cluster = Cluster::start(bed)?;
    cluster.apply_pod(&Pod::new("one").app("main", "serve"))?;
    cluster.wait_ready("one")?;
    let during = machine()?;
    ensure!(during.contains("unreachable 10.200.0.0/16"), "{during}");
    ensure!(during.contains("up0/forwarding:1"), "{during}");
    ensure!(during.contains("monopod-serve"), "{during}");
    bed.run_pod(&Pod::new("two").app("main", "true"))?.expect_code(0)?;
    cluster.finish()?;
    let mut after = String::new();
    wait::until("the machine is as before", SOON, || {
        after = machine().ok()?;
        (after == before).then_some(())
    })
    .with_context(|| format!("before:\n{before}\nafter:\n{after}"))
}

fn without_a_network_pods_have_their_loopback(bed: &Bed) -> Result<()> {
    require_root()?;
    let before = machine()?;
    let args = ["--no-pod-network"];
    let cluster = Cluster::start_with_args(bed, crate::kubectl::Kubectl::newest()?, &args)?;
    cluster.apply_pod(&Pod::new("alone").app("main", "serve"))?;
    cluster.wait_ready("alone")?;
    let ip = cluster.output(&["get", "pod", "alone", "-o", "jsonpath={.status.podIPs[*].ip}"])?;
    ensure!(ip == "127.0.0.1", "{ip}");
    ensure!(machine()? == before, "nothing of the machine changes");
    cluster.finish()
}

/// No range is free, and a filter of somebody else's is in the way of those that have one.
fn what_is_in_the_way_is_said(bed: &Bed) -> Result<()> {
    require_root()?;
    let taken = "for range in 10.0.0.0/8 172.16.0.0/12 198.18.0.0/15; do ip route add unreachable $range || exit 1; done";
    if !Command::new("sh").args(["-c", taken]).status()?.success() {
        return skip("needs ip (iproute2)");
    }
    let cluster = Cluster::start(bed)?;
    let event = |reason: &str| {
        let field = format!("reason={reason}");
        let path = "jsonpath={.items[*].involvedObject.kind}: {.items[*].message}";
        cluster.output(&["get", "events", "-n", "default", "--field-selector", &field, "-o", path])
    };
    let said = event("NetworkNotReady")?;
    ensure!(said.starts_with("Node: ") && said.contains("--pod-cidr"), "{said}");
    cluster.apply_pod(&Pod::new("alone").app("main", "serve"))?;
    cluster.wait_ready("alone")?;
    let refused = cluster.kubectl(["create", "service", "clusterip", "web", "--tcp", "80"])?;
    refused.expect_code(1)?.expect_output("--pod-cidr")?;
    cluster.finish()?;
    ensure!(Command::new("ip").args(["route", "flush", "table", "main"]).status()?.success());
    let chain = Chain {
        name: "FORWARD".to_owned(),
        base: Some(Base {
            chain_type: ChainType::Filter,
            hook: Hook::Forward,
            priority: 0,
            policy: Policy::Drop,
        }),
    };
    let operations = vec![Operation::AddTable, Operation::AddChain(chain)];
    Nftables::open()?.commit(&Transaction { table: "others".to_owned(), operations })?;
    let cluster = Cluster::start(bed)?;
    let path = "jsonpath={.items[*].message}";
    let field = "--field-selector=reason=NetworkObstructed";
    let said = cluster.output(&["get", "events", "-n", "default", field, "-o", path])?;
    ensure!(said.contains("others") && said.contains("FORWARD"), "{said}");
    cluster.finish()
}

fn runs_side_by_side(bed: &Bed) -> Result<()> {
    require_root()?;
    let script = "say ip $(grep -c ' 10[.]2' /etc/hosts || true); until [ $(grep -c ' ip ' /trace/log) -eq 2 ]; do sleep 0.05; done; \
                  tail -n 2 /etc/hosts | cut -f1 >> /trace/addresses";
    let engines: Vec<_> = ["a", "b"]
        .iter()
        .map(|name| bed.start_pod(&Pod::new(name).app(name, script)))
        .collect::<Result<_>>()?;
    for engine in engines {
        engine.wait(SOON)?.expect_code(0)?.expect_no_output("WARN")?;
    }
    let found = std::fs::read_to_string(bed.dir().join("trace/addresses"))?;
    let addresses: BTreeSet<&str> = found.lines().collect();
    ensure!(addresses.len() == 4, "{found}");
    // Those of links that waited for a pod end with the engine's last descriptors.
    let mut routes = String::new();
    wait::until("no route of a run is left", SOON, || {
        let found =
            Command::new("ip").args(["route", "show", "table", "all", "proto", "77"]).output().ok()?;
        routes = String::from_utf8_lossy(&found.stdout).into_owned();
        routes.is_empty().then_some(())
    })
    .with_context(|| routes.clone())
}
