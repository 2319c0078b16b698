//! Networks of the kernel, each test in a network namespace of its own.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linux_sys::namespace::{self, Namespaces};
use podspec::{IDENTITY_BYTES, Pod};
use ports::{PodContext, PodNetwork};

use crate::claim::{Size, Wanted};
use crate::netlink::Netlink;
use crate::record::{self, NetworkRecord};
use crate::route::{self, Found, PROTOCOL};
use crate::{Ahead, Network, NetworkError, Options, PodPolicy, PolicySource, Rules, clear, link};

const SOON: Duration = Duration::from_secs(10);
const PORT: u16 = 8080;

/// A machine of its own, with a directory for records.
struct Machine {
    root: PathBuf,
    runtime: tokio::runtime::Runtime,
}

impl Machine {
    /// Moves this thread into it; `None` for who may not.
    fn enter(name: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return None;
        }
        namespace::unshare(Namespaces::NET).unwrap();
        namespace::set_loopback_up().unwrap();
        let root = std::env::temp_dir().join(format!("monopod-network-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("pods")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Some(Self { root, runtime })
    }

    fn options(&self, name: &str, pods: &[&str]) -> Options {
        let pods = pods.iter().map(|range| range.parse().unwrap()).collect();
        Options {
            name: name.to_owned(),
            wanted: Wanted { pods, services: Vec::new(), size: Size::Large },
            ahead: Ahead::Always,
            data_dir: self.root.clone(),
            pods_dir: self.root.join("pods"),
        }
    }

    /// What follows the routes for a network that was dropped may have it a moment longer.
    fn open(&self, name: &str, pods: &[&str]) -> Result<Arc<Network>, NetworkError> {
        let deadline = Instant::now() + SOON;
        let network = loop {
            match Network::open(self.options(name, pods)) {
                Err(NetworkError::Locked { .. }) if Instant::now() < deadline => {
                    thread::sleep(Duration::from_millis(5));
                }
                opened => break opened?,
            }
        };
        self.runtime.block_on(network.start())?;
        Ok(network)
    }

    fn pod(&self, ports: &str) -> PodContext {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let mut identity = [0; IDENTITY_BYTES];
        identity[..4].copy_from_slice(&NEXT.fetch_add(1, Ordering::SeqCst).to_ne_bytes());
        let text = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: p}}, spec: {{containers: [{{name: a, image: i, ports: [{ports}]}}]}}}}"
        );
        let pod: Pod = podspec::load_pods("test", &text, || identity).unwrap().remove(0).admitted.pod;
        let pod_dir = self.root.join("pods").join(pod.uid.as_str());
        fs::create_dir_all(&pod_dir).unwrap();
        let other = self.root.clone();
        PodContext { pod, pod_dir, run_dir: other.clone(), log_dir: other, bound: false }
    }

    fn attach(&self, network: &Network, pod: &PodContext) -> (Vec<IpAddr>, OwnedFd) {
        let attached = self.runtime.block_on(network.attach(pod)).unwrap();
        (attached.addresses, attached.netns.unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn routes() -> Vec<Found> {
    let mut routes = route::all(&mut Netlink::open().unwrap()).unwrap();
    // Of a neighbour that was heard of, and goes by itself.
    routes.retain(|route| route.kind != 5);
    routes.sort_by_key(|route| (route.destination, route.kind, route.protocol));
    routes
}

fn ours() -> Vec<String> {
    let is_claim = |route: &Found| route.protocol == PROTOCOL && route.kind != route::Kind::Unicast as u8;
    let ours = routes().into_iter().filter(is_claim);
    ours.map(|route| route.destination.to_string()).collect()
}

fn within<T: Send>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            namespace::setns(netns, Namespaces::NET).unwrap();
            work()
        });
        inside.join().unwrap()
    })
}

/// Answers one connection with who made it.
fn serve(netns: &OwnedFd, address: IpAddr) -> thread::JoinHandle<()> {
    let listener = within(netns.as_fd(), || TcpListener::bind(SocketAddr::new(address, PORT)).unwrap());
    thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        stream.write_all(peer.ip().to_string().as_bytes()).unwrap();
    })
}

fn ask(address: IpAddr) -> String {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::new(address, PORT), SOON).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn pods_reach_one_another_and_the_machine_and_leave_nothing() {
    let Some(machine) = Machine::enter("reach") else { return };
    let before = routes();
    let network = machine.open("serve", &[]).unwrap();
    let (a, b) = (machine.pod(""), machine.pod(""));
    let (of_a, netns_a) = machine.attach(&network, &a);
    let (of_b, netns_b) = machine.attach(&network, &b);
    assert_eq!(of_a.len(), 2, "{of_a:?}");
    for (at_a, at_b) in of_a.iter().zip(&of_b) {
        let server = serve(&netns_a, *at_a);
        assert_eq!(within(netns_b.as_fd(), || ask(*at_a)), at_b.to_string());
        server.join().unwrap();
        let server = serve(&netns_a, *at_a);
        let gateway =
            network.ranges().gateways().into_iter().find(|g| g.is_ipv4() == at_a.is_ipv4()).unwrap();
        assert_eq!(ask(*at_a), gateway.to_string(), "from the machine");
        server.join().unwrap();
        let refused =
            within(netns_b.as_fd(), || TcpStream::connect_timeout(&SocketAddr::new(*at_a, 1), SOON));
        assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    }
    // What is nobody's is refused at once.
    let nobody = within(netns_b.as_fd(), || {
        TcpStream::connect_timeout(&SocketAddr::new(Ipv4Addr::new(10, 200, 99, 99).into(), 1), SOON)
    });
    assert_eq!(nobody.unwrap_err().kind(), std::io::ErrorKind::HostUnreachable);
    drop((netns_a, netns_b));
    network.release(&a).unwrap();
    network.release(&b).unwrap();
    assert_eq!(network.remove(), Vec::<String>::new());
    assert!(record::names(&machine.root).is_empty());
    drop(network);
    eventually("the links are gone", || routes() == before);
}

#[test]
fn an_engine_goes_on_with_the_network_of_the_one_before() {
    let Some(machine) = Machine::enter("again") else { return };
    let network = machine.open("serve", &[]).unwrap();
    let pod = machine.pod("");
    let (addresses, netns) = machine.attach(&network, &pod);
    let ranges = network.ranges().clone();
    drop(network);
    let network = machine.open("serve", &[]).unwrap();
    assert_eq!(*network.ranges(), ranges);
    machine.runtime.block_on(network.adopt(&pod)).unwrap();
    for _ in 0..20 {
        let other = machine.pod("");
        let (of_other, _) = machine.attach(&network, &other);
        assert_ne!(of_other, addresses);
    }
    let server = serve(&netns, addresses[0]);
    assert_eq!(ask(addresses[0]), ranges.gateways()[0].to_string());
    server.join().unwrap();
    let again = machine.runtime.block_on(network.attach(&pod)).unwrap();
    assert_eq!(again.addresses, addresses, "a pod keeps what it has");
    drop((again, netns, network));
    let other = machine.open("serve", &["10.9.0.0/24"]).unwrap_err().to_string();
    assert!(other.contains("10.9.0.0/24") && other.contains("monopod reset"), "{other}");
}

#[test]
fn a_range_in_use_is_refused_with_the_route() {
    let Some(machine) = Machine::enter("collides") else { return };
    let first = machine.open("serve", &["10.77.0.0/16"]).unwrap();
    let elsewhere = machine.root.join("other");
    fs::create_dir_all(&elsewhere).unwrap();
    let options = Options { data_dir: elsewhere.clone(), ..machine.options("serve", &["10.77.3.0/24"]) };
    let error = Network::open(options).unwrap_err().to_string();
    assert!(error.contains("10.77.3.0/24") && error.contains("10.77.0.0/16"), "{error}");
    assert_eq!(fs::read_dir(elsewhere.join("network")).map_or(0, Iterator::count), 0, "nothing is left");
    // Side by side, with what is free.
    let options = Options { data_dir: elsewhere, ..machine.options("serve", &[]) };
    let second = Network::open(options).unwrap();
    assert_ne!(second.ranges(), first.ranges());
    assert!(second.remove().is_empty());
    assert!(first.remove().is_empty());
    assert_eq!(ours(), Vec::<String>::new());
}

#[test]
fn an_exhausted_range_is_said_and_every_address_of_it_is_used() {
    let Some(machine) = Machine::enter("exhausted") else { return };
    let network = machine.open("serve", &["10.77.0.0/29"]).unwrap();
    let pods: Vec<PodContext> = (0..5).map(|_| machine.pod("")).collect();
    let mut held: Vec<_> = pods.iter().map(|pod| machine.attach(&network, pod)).collect();
    held.sort_by(|a, b| a.0.cmp(&b.0));
    held.dedup_by(|a, b| a.0 == b.0);
    assert_eq!(held.len(), 5);
    let another = machine.pod("");
    let error = machine.runtime.block_on(network.attach(&another)).unwrap_err().to_string();
    assert!(error.contains("all 5 addresses of 10.77.0.0/29") && error.contains("--pod-cidr"), "{error}");
    network.release(&pods[3]).unwrap();
    machine.attach(&network, &another);
}

#[test]
fn the_network_of_a_dead_run_is_removed_when_its_pods_are() {
    let Some(machine) = Machine::enter("sweep") else { return };
    let run = machine.open("run-1", &[]).unwrap();
    let pod = machine.pod("");
    let _ = machine.attach(&run, &pod);
    let serve = machine.open("serve", &[]).unwrap();
    assert_ne!(run.ranges(), serve.ranges());
    assert_eq!(record::names(&machine.root), ["run-1", "serve"], "that of a living engine stays");
    drop((run, serve));
    drop(machine.open("serve", &[]).unwrap());
    assert_eq!(record::names(&machine.root), ["run-1", "serve"], "a pod needs it still");
    fs::remove_dir_all(&pod.pod_dir).unwrap();
    drop(machine.open("serve", &[]).unwrap());
    assert_eq!(record::names(&machine.root), ["serve"]);
    assert_eq!(clear(&machine.root), Vec::<String>::new());
    assert_eq!(ours(), Vec::<String>::new());
    assert!(!record::directory(&machine.root).exists());
}

#[test]
fn packets_go_on_from_default_routes_and_all_is_put_back() {
    let Some(machine) = Machine::enter("forward") else { return };
    let path = |name: &str| format!("/proc/sys/net/ipv4/conf/{name}/forwarding");
    let read = |name: &str| fs::read_to_string(path(name)).unwrap().trim().to_owned();
    let (up, other, _outside) = uplinks();
    for name in [&up, &other] {
        fs::write(path(name), "0").unwrap();
    }
    let default = |name: &str| {
        let mut netlink = Netlink::open().unwrap();
        let interface = Some(link::index(&mut netlink, name).unwrap());
        let to_all = route::Route::to("0.0.0.0/0".parse().unwrap(), route::Kind::Unicast);
        let route = route::Route { interface, ..to_all };
        netlink.send(vec![route.put()]).unwrap();
    };
    default(&up);
    let network = machine.open("serve", &[]).unwrap();
    assert_eq!((read(&up), read(&other)), ("1".to_owned(), "0".to_owned()));
    default(&other);
    machine.runtime.block_on(async {
        let deadline = Instant::now() + SOON;
        while read(&other) != "1" {
            assert!(Instant::now() < deadline, "a default route that came later is seen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let record = NetworkRecord::read(&machine.root, "serve").unwrap().unwrap().record;
    // Those of IPv6 are of the whole machine before Linux 6.17.
    let v4 = record.sysctls.iter().filter(|changed| changed.path.starts_with("/proc/sys/net/ipv4"));
    assert_eq!(v4.count(), 2, "{record:?}");
    // Another one under the same root needs it, too, and puts it back as the last.
    let run = machine.open("run-1", &[]).unwrap();
    assert!(network.remove().is_empty());
    assert_eq!((read(&up), read(&other)), ("1".to_owned(), "1".to_owned()));
    assert!(run.remove().is_empty());
    assert_eq!((read(&up), read(&other)), ("0".to_owned(), "0".to_owned()));
}

#[test]
fn a_host_port_is_the_pods_alone() {
    let Some(machine) = Machine::enter("host-port") else { return };
    let network = machine.open("serve", &[]).unwrap();
    let process = TcpListener::bind("0.0.0.0:8081").unwrap();
    let spec = host_port::of_text;
    for (port, address) in [(8081, None), (8081, Some("127.0.0.1")), (8082, Some("192.0.2.1"))] {
        let error = crate::host_port::reserve(&[spec(port, address)]).unwrap_err();
        let text = ports::PortError::chain(&error).0;
        assert!(text.contains(&port.to_string()) && text.contains("hostPort"), "{text}");
    }
    drop(process);
    let held = crate::host_port::reserve(&[spec(8081, None)]).unwrap();
    assert!(TcpListener::bind("127.0.0.1:8081").is_err());
    assert!(crate::host_port::reserve(&[spec(8081, Some("127.0.0.1"))]).is_err());
    drop(held);
    assert!(TcpListener::bind("127.0.0.1:8081").is_ok());
    drop(network);
}

mod host_port {
    use podspec::PortProtocol;

    pub(super) fn of_text(host_port: u16, address: Option<&str>) -> crate::HostPort {
        let address = address.map(|text| text.parse().unwrap());
        crate::HostPort { address, protocol: PortProtocol::Tcp, host_port, pod_port: 80 }
    }
}

/// Lets nobody out.
#[derive(Debug)]
struct NobodyOut;

impl PolicySource for NobodyOut {
    fn policy_of(&self, _: &Pod, _: &[IpAddr]) -> PodPolicy {
        PodPolicy { ingress: None, egress: Some(Vec::new()) }
    }
}

#[test]
fn a_pod_is_under_its_policy_as_soon_as_it_has_a_link() {
    let Some(machine) = Machine::enter("policy") else { return };
    let network = machine.open("serve", &[]).unwrap();
    network.enforce_by(Rules::open(network.table(), network.ranges(), network.claimed()).unwrap());
    let (free, held) = (machine.pod(""), machine.pod(""));
    let (of_free, netns_free) = machine.attach(&network, &free);
    network.follow_policies(Arc::new(NobodyOut));
    let (_, netns_held) = machine.attach(&network, &held);
    for at in of_free {
        let _listens = within(netns_free.as_fd(), || TcpListener::bind(SocketAddr::new(at, PORT)).unwrap());
        let asked = || TcpStream::connect_timeout(&SocketAddr::new(at, PORT), Duration::from_millis(300));
        assert_eq!(within(netns_held.as_fd(), asked).unwrap_err().kind(), std::io::ErrorKind::TimedOut);
        within(netns_free.as_fd(), asked).unwrap();
    }
    assert_eq!(network.remove(), Vec::<String>::new());
}

#[test]
fn a_machine_without_ipv6_has_pods_without() {
    let Some(machine) = Machine::enter("v4") else { return };
    fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    let network = machine.open("serve", &[]).unwrap();
    let (addresses, netns) = machine.attach(&network, &machine.pod(""));
    assert!(matches!(addresses[..], [IpAddr::V4(_)]), "{addresses:?}");
    let server = serve(&netns, addresses[0]);
    assert_eq!(ask(addresses[0]), "10.200.0.1");
    server.join().unwrap();
    assert!(network.remove().is_empty());
    assert_eq!(ours(), Vec::<String>::new());
}

/// Those that are freed are given again, over engines that come and go.
#[test]
fn no_two_pods_have_one_address() {
    const STARTS: usize = 300;
    const LIVING: usize = 20;
    let Some(machine) = Machine::enter("unique") else { return };
    let range = ["10.77.0.0/26"];
    let mut network = machine.open("serve", &range).unwrap();
    let mut living: std::collections::VecDeque<(PodContext, Vec<IpAddr>, OwnedFd)> = Default::default();
    let mut given = std::collections::BTreeSet::new();
    for number in 0..STARTS {
        let pod = machine.pod("");
        let (addresses, netns) = machine.attach(&network, &pod);
        for (_, other, _) in &living {
            assert_ne!(*other, addresses, "at start {number}");
        }
        given.insert(addresses.clone());
        living.push_back((pod, addresses, netns));
        if living.len() > LIVING {
            let (pod, _, netns) = living.pop_front().unwrap();
            drop(netns);
            network.release(&pod).unwrap();
            fs::remove_dir_all(&pod.pod_dir).unwrap();
        }
        if number % 60 == 59 {
            drop(network);
            network = machine.open("serve", &range).unwrap();
            for (pod, ..) in &living {
                machine.runtime.block_on(network.adopt(pod)).unwrap();
            }
        }
    }
    assert!(given.len() > 50, "{} addresses were used", given.len());
}

#[test]
fn ipv6_may_be_switched_off_between_engines() {
    let Some(machine) = Machine::enter("v6-off") else { return };
    let network = machine.open("serve", &[]).unwrap();
    assert_eq!(machine.attach(&network, &machine.pod("")).0.len(), 2);
    drop(network);
    fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
    let network = machine.open("serve", &[]).unwrap();
    assert_eq!(machine.attach(&network, &machine.pod("")).0.len(), 1);
    assert_eq!(network.remove(), Vec::<String>::new());
}

#[test]
fn a_warm_attach_waits_for_nothing() {
    let Some(machine) = Machine::enter("time") else { return };
    let network = machine.open("serve", &[]).unwrap();
    let mut times = Vec::new();
    let mut held = Vec::new();
    for _ in 0..20 {
        // Until the pool is full again.
        thread::sleep(Duration::from_millis(100));
        let pod = machine.pod("");
        let begun = Instant::now();
        held.push(machine.attach(&network, &pod));
        times.push(begun.elapsed());
    }
    times.sort();
    println!("attach: median {:?}, worst {:?}", times[times.len() / 2], times[times.len() - 1]);
}

/// Two interfaces that lead to other namespaces.
fn uplinks() -> (String, String, [OwnedFd; 2]) {
    let outside = [within_new(), within_new()];
    let mut host = Netlink::open().unwrap();
    let mut make = |address: &str, outside: &OwnedFd| {
        let mut far = within(outside.as_fd(), || Netlink::open().unwrap());
        let link = link::Link { addresses: vec![address.parse().unwrap()], gateways: Vec::new(), mtu: 1400 };
        link.make(&mut host, &mut far, outside.as_fd()).unwrap();
        link.name()
    };
    let (up, other) = (make("10.1.1.1", &outside[0]), make("10.1.1.2", &outside[1]));
    (up, other, outside)
}

fn within_new() -> OwnedFd {
    thread::spawn(|| {
        namespace::unshare(Namespaces::NET).unwrap();
        fs::File::open("/proc/thread-self/ns/net").unwrap().into()
    })
    .join()
    .unwrap()
}
