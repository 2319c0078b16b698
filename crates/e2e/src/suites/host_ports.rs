//! `hostPort`: a port of the machine that leads to the pod.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::pod_network::require_perl;
use crate::bed::{Bed, SOON};
use crate::cluster::Cluster;
use crate::outcome::skip;
use crate::pod::Pod;
use crate::pods::Pods;
use crate::runner::{Test, tests};
use crate::wait;

pub(crate) const TESTS: &[Test] = tests![
    lead_to_the_pod,
    from_outside,
    in_use_by_a_process,
    two_pods_and_one_port,
    taken_again_by_the_next_engine
];

/// Says to each who asks by TCP or UDP on port 80 who asked.
const SERVE: &str = "perl -MIO::Socket::INET -MIO::Select -e '
    $t = IO::Socket::INET->new(LocalPort => 80, Listen => 5, ReuseAddr => 1) or die; $u = IO::Socket::INET->new(LocalPort => 80, Proto => \"udp\") or die;
    open(F, \">>\", \"/trace/log\"); syswrite(F, \"$ENV{NAME} listening\\n\");
    while (@r = IO::Select->new($t, $u)->can_read) { for $s (@r) {
        if ($s == $t) { $c = $t->accept; print $c \"tcp \", $c->peerhost, \"\\n\"; close $c }
        else { $u->recv($b, 99); $u->send(\"udp \" . $u->peerhost . \"\\n\") } } }'";

fn ports(ports: &Value) -> Value {
    json!({ "ports": ports })
}

/// What is answered at an address of the machine, within the network namespace `within` or here.
fn ask(within: Option<&str>, protocol: &str, address: &str, port: u16) -> Result<String> {
    let script = format!(
        "$SIG{{ALRM}} = sub {{ print \"none\"; exit }}; alarm 5; $s = IO::Socket::INET->new(PeerHost => \"{address}\", PeerPort => {port}, \
         Proto => \"{protocol}\", Timeout => 3) or do {{ print \"none\"; exit }}; $s->send(\"x\") if \"{protocol}\" eq \"udp\"; \
         $s->recv($b, 99) if \"{protocol}\" eq \"udp\"; $b = <$s> if \"{protocol}\" eq \"tcp\"; print defined($b) && length($b) ? $b : \"none\""
    );
    let mut command = match within {
        Some(netns) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", netns, "perl"]);
            command
        }
        None => Command::new("perl"),
    };
    let output = command.args(["-MIO::Socket::INET", "-e", &script]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn server(fields: &Value) -> Pod {
    Pod::new("server").app_with("main", SERVE, fields)
}

fn lead_to_the_pod(bed: &Bed) -> Result<()> {
    require_perl()?;
    let pods = Pods::start(bed)?;
    pods.create(&server(&ports(&json!([
        {"containerPort": 80, "hostPort": 8081},
        {"containerPort": 80, "hostPort": 8081, "protocol": "UDP"},
        {"containerPort": 80, "hostPort": 8082, "hostIP": "127.0.0.1"},
    ]))))?;
    bed.trace.wait("main listening", SOON)?;
    let gateway = "10.200.0.1";
    for (protocol, address, port, answered) in [
        ("tcp", "127.0.0.1", 8081, true),
        ("udp", "127.0.0.1", 8081, true),
        ("tcp", gateway, 8081, true),
        ("tcp", "127.0.0.1", 8082, true),
        ("tcp", gateway, 8082, false),
        ("tcp", "127.0.0.1", 8083, false),
    ] {
        let found = ask(None, protocol, address, port)?;
        let expected = if answered { format!("{protocol} {gateway}") } else { "none".to_owned() };
        ensure!(found == expected, "{protocol} {address}:{port} says {found:?}");
    }
    pods.delete("server", Some(1))?;
    pods.wait_gone("server")?;
    let found = ask(None, "tcp", "127.0.0.1", 8081)?;
    ensure!(found == "none", "{found:?} when the pod is gone");
    ensure!(TcpListener::bind("0.0.0.0:8081").is_ok(), "the port is free again");
    pods.finish()
}

/// A machine beside this one, named by the test's process and bed.
struct Outside(String);

impl Outside {
    fn new(bed: &Bed) -> Result<Self> {
        let number = bed.dir().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("mp-out-{}-{number}", std::process::id());
        let script = format!(
            "ip netns add {name} && ip link add up0 type veth peer name eth0 netns {name} && ip addr add 192.0.2.1/24 dev up0 && \
             ip link set up0 up && ip -n {name} addr add 192.0.2.2/24 dev eth0 && ip -n {name} link set eth0 up && \
             ip -n {name} link set lo up && ip route add default via 192.0.2.2"
        );
        let made = Command::new("sh").args(["-c", &script]).output()?;
        if !made.status.success() {
            return skip(format!("needs ip (iproute2): {}", String::from_utf8_lossy(&made.stderr)));
        }
        Ok(Self(name))
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// Who comes from outside is seen as who it is; who goes there is seen as this machine.
fn from_outside(bed: &Bed) -> Result<()> {
    require_perl()?;
    let outside = Outside::new(bed)?;
    let pods = Pods::start(bed)?;
    pods.create(&server(&ports(&json!([
        {"containerPort": 80, "hostPort": 8081},
        {"containerPort": 80, "hostPort": 8081, "protocol": "UDP"},
        {"containerPort": 80, "hostPort": 8082, "hostIP": "192.0.2.1"},
        {"containerPort": 80, "hostPort": 8083, "hostIP": "127.0.0.1"},
    ]))))?;
    bed.trace.wait("main listening", SOON)?;
    for (protocol, port, expected) in [
        ("tcp", 8081, "tcp 192.0.2.2"),
        ("udp", 8081, "udp 192.0.2.2"),
        ("tcp", 8082, "tcp 192.0.2.2"),
        ("tcp", 8083, "none"),
    ] {
        let found = ask(Some(&outside.0), protocol, "192.0.2.1", port)?;
        ensure!(found == expected, "{protocol} {port} says {found:?}");
    }
    let server = bed.start(
        Command::new("ip").args(["netns", "exec", &outside.0, "env", "NAME=outside", "sh", "-c"]).arg(
            SERVE.replace(
                "open(F, \">>\", \"/trace/log\"); syswrite(F, \"$ENV{NAME} listening\\n\");",
                "print \"up\\n\"; STDOUT->flush();",
            ),
        ),
    );
    let mut server = server?;
    server.wait_output("up", SOON)?;
    let client = "perl -MIO::Socket::INET -e '$s = IO::Socket::INET->new(\"192.0.2.2:80\"); open(F, \">>\", \"/trace/log\"); syswrite(F, \"seen as \" . <$s>)'";
    pods.create(&Pod::new("client").app("main", client))?;
    bed.trace.wait("seen as tcp 192.0.2.1", SOON)?;
    drop(server);
    pods.finish()
}

fn in_use_by_a_process(bed: &Bed) -> Result<()> {
    require_perl()?;
    let pods = Pods::start(bed)?;
    let process = TcpListener::bind("127.0.0.1:8081")?;
    pods.create(&server(&ports(&json!([{"containerPort": 80, "hostPort": 8081}]))))?;
    let event = pods.wait_event("server", "FailedCreatePodSandBox")?;
    ensure!(event.contains("port 8081") && event.contains("choose another hostPort"), "{event}");
    drop(process);
    bed.trace.wait("main listening", 2 * SOON)?;
    ensure!(ask(None, "tcp", "127.0.0.1", 8081)? == "tcp 10.200.0.1");
    ensure!(UdpSocket::bind("127.0.0.1:8081").is_ok(), "the other protocol's is nobody's");
    pods.finish()
}

fn two_pods_and_one_port(bed: &Bed) -> Result<()> {
    require_perl()?;
    let pods = Pods::start(bed)?;
    let fields = ports(&json!([{"containerPort": 80, "hostPort": 8081}]));
    pods.create(&server(&fields))?;
    bed.trace.wait("main listening", SOON)?;
    pods.create(&Pod::new("second").app_with("second", SERVE, &fields))?;
    let event = pods.wait_event("second", "FailedScheduling ")?;
    ensure!(event.contains("free ports"), "{event}");
    pods.delete("server", Some(1))?;
    bed.trace.wait("second listening", SOON)?;
    wait::until("the second has the port", SOON, || {
        ask(None, "tcp", "127.0.0.1", 8081).ok().filter(|found| found == "tcp 10.200.0.1").map(drop)
    })?;
    pods.finish()
}

fn taken_again_by_the_next_engine(bed: &Bed) -> Result<()> {
    require_perl()?;
    let mut cluster = Cluster::start(bed)?;
    cluster.apply_pod(&server(&ports(&json!([{"containerPort": 80, "hostPort": 8081}]))))?;
    bed.trace.wait("main listening", SOON)?;
    cluster.kill()?;
    ensure!(ask(None, "tcp", "127.0.0.1", 8081)? == "tcp 10.200.0.1", "without an engine");
    cluster.serve()?;
    cluster.wait_ready("server")?;
    ensure!(ask(None, "tcp", "127.0.0.1", 8081)? == "tcp 10.200.0.1");
    ensure!(TcpListener::bind("0.0.0.0:8081").is_err(), "the port is the pod's");
    cluster.finish()
}
