//! A machine, pods and somebody outside, each a network namespace of its own, with links as `docs/adr/0012` has them.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use linux_sys::namespace::{Namespaces, unshare};
use network::{Claimed, PodPolicy, PodRules, Ranges, Rules, RulesError, ServiceName, ServicePort, State};
use podspec::{PodUid, PortProtocol};

/// What is refused is refused at once; what takes this long was dropped. The kernel has tried a second time by then.
pub(crate) const DROPPED_AFTER: Duration = Duration::from_millis(1200);
const SOON: Duration = Duration::from_secs(10);

pub(crate) const TABLE: &str = "monopod-test";
pub(crate) const GATEWAY: &str = "10.200.0.1";
pub(crate) const GATEWAY6: &str = "fd12::1";
/// The machine's and the outsider's on the link between them.
pub(crate) const MACHINE: &str = "192.168.7.1";
pub(crate) const MACHINE6: &str = "fd77::1";
pub(crate) const OUTSIDE: &str = "192.168.7.2";
pub(crate) const OUTSIDE6: &str = "fd77::2";

type Job = Box<dyn FnOnce() + Send>;

/// A network namespace, and a thread in it.
pub(crate) struct Space {
    jobs: mpsc::Sender<Job>,
    thread_id: i32,
}

impl Space {
    fn new() -> Self {
        let (jobs, received) = mpsc::channel::<Job>();
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            unshare(Namespaces::NET).expect("a network namespace can be made");
            ready.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            received.into_iter().for_each(|job| job());
        });
        let thread_id = is_ready.recv().expect("a network namespace can be made");
        Self { jobs, thread_id }
    }

    /// Runs it in the namespace; threads that it starts are there, too.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = mpsc::channel();
        self.jobs.send(Box::new(move || drop(done.send(job())))).unwrap();
        result.recv().expect("the job did not panic")
    }

    /// Lines for `ip -batch`.
    pub(crate) fn ip(&self, lines: &str) {
        let lines = lines.to_owned();
        self.run(move || {
            let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
            ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
            assert!(ip.wait().unwrap().success(), "{lines}");
        });
    }

    /// What a program says.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments);
        self.run(move || {
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        })
    }

    pub(crate) fn nft(&self, rules: &str) {
        let rules = rules.to_owned();
        self.run(move || {
            let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
            nft.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
            assert!(nft.wait().unwrap().success(), "{rules}");
        });
    }

    pub(crate) fn set(&self, sysctl: &str, value: &str) {
        let (path, value) = (format!("/proc/sys/net/{sysctl}"), value.to_owned());
        self.run(move || std::fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")));
    }

    /// Answers every connection with `name`, and who it comes from, and every datagram.
    pub(crate) fn serve(&self, name: &str, at: SocketAddr) {
        let name = name.to_owned();
        self.run(move || {
            let listener = TcpListener::bind(at).unwrap();
            let socket = UdpSocket::bind(at).unwrap();
            let udp_name = name.clone();
            thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                    let said = format!(
                        "{udp_name} from {} {}",
                        from.ip().to_canonical(),
                        String::from_utf8_lossy(&buffer[..length])
                    );
                    let _ = socket.send_to(said.as_bytes(), from);
                }
            });
            thread::spawn(move || {
                for stream in listener.incoming() {
                    let (mut stream, name) = (stream.unwrap(), name.clone());
                    thread::spawn(move || {
                        let from = stream.peer_addr().unwrap().ip().to_canonical();
                        let _ = stream.write_all(format!("{name} from {from}\n").as_bytes());
                        // Then it is an echo.
                        let mut buffer = [0; 64];
                        while let Ok(length @ 1..) = stream.read(&mut buffer) {
                            let _ = stream.write_all(&buffer[..length]);
                        }
                    });
                }
            });
        });
    }

    /// What the server at the other end says, or how the connection failed: `refused`, `dropped`, or something else.
    pub(crate) fn get(&self, to: &str) -> String {
        let to: SocketAddr = to.parse().unwrap();
        self.run(move || get(to))
    }

    /// As [`Self::get`], from all side by side.
    pub(crate) fn get_all<T: AsRef<str>>(&self, to: &[T]) -> Vec<String> {
        let to: Vec<SocketAddr> = to.iter().map(|to| to.as_ref().parse().unwrap()).collect();
        self.run(move || {
            let gets: Vec<_> = to.into_iter().map(|to| thread::spawn(move || get(to))).collect();
            gets.into_iter().map(|get| get.join().unwrap()).collect()
        })
    }

    pub(crate) fn connect(&self, to: &str) -> TcpStream {
        let to: SocketAddr = to.parse().unwrap();
        let stream = self.run(move || TcpStream::connect_timeout(&to, SOON)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    /// As [`Self::get`], by datagrams from a new socket.
    pub(crate) fn ask(&self, to: &str) -> String {
        exchange(&self.udp(to))
    }

    pub(crate) fn ask_all<T: AsRef<str>>(&self, to: &[T]) -> Vec<String> {
        let sockets: Vec<UdpSocket> = to.iter().map(|to| self.udp(to.as_ref())).collect();
        let asks: Vec<_> =
            sockets.into_iter().map(|socket| thread::spawn(move || exchange(&socket))).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    }

    pub(crate) fn udp(&self, to: &str) -> UdpSocket {
        let to: SocketAddr = to.parse().unwrap();
        self.run(move || {
            let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
            let socket = UdpSocket::bind(any).unwrap();
            socket.set_read_timeout(Some(DROPPED_AFTER / 2)).unwrap();
            socket.connect(to).unwrap();
            socket
        })
    }
}

/// Up to the end of a line.
pub(crate) fn line(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut text = String::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        text.push(byte[0].into());
    }
    Ok(text)
}

fn get(to: SocketAddr) -> String {
    let said = TcpStream::connect_timeout(&to, DROPPED_AFTER).and_then(|mut stream| {
        stream.set_read_timeout(Some(SOON))?;
        line(&mut stream)
    });
    said.unwrap_or_else(|error| outcome(&error))
}

/// A datagram and its answer; a second one when there is none.
pub(crate) fn exchange(socket: &UdpSocket) -> String {
    let mut buffer = [0; 128];
    let mut once = || socket.send(b"hello").and_then(|_| socket.recv(&mut buffer));
    let length = once().or_else(|error| if outcome(&error) == "dropped" { once() } else { Err(error) });
    match length {
        Ok(length) => String::from_utf8_lossy(&buffer[..length]).trim_end_matches(" hello").to_owned(),
        Err(error) => outcome(&error),
    }
}

fn outcome(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused".to_owned(),
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "dropped".to_owned(),
        _ => error.to_string(),
    }
}

/// A machine with a network and the rules of it, and somebody outside.
pub(crate) struct Bed {
    pub(crate) machine: Space,
    pub(crate) outside: Space,
    pub(crate) pods: Vec<Pod>,
    pub(crate) rules: Rules,
    runtime: tokio::runtime::Runtime,
}

pub(crate) struct Pod {
    pub(crate) space: Space,
    pub(crate) rules: PodRules,
}

impl Bed {
    /// With so many pods, `pod0` and on, which serve at port 8080. `None` when this machine does not let us, which is said.
    pub(crate) fn new(pods: usize) -> Option<Self> {
        let bed = Self::without_table(pods, Claimed::Before)?;
        // Pods of which there is nothing to say are not said.
        bed.wait(bed.rules.replace(State::default()));
        Some(bed)
    }

    pub(crate) fn without_table(pods: usize, claimed: Claimed) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("Skipped(needs root)");
            return None;
        }
        // `cargo xtask test` installs it, and says when it cannot.
        if Command::new("nft").arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("Skipped(needs nft, of the package nftables)");
            return None;
        }
        let machine = Space::new();
        let outside = Space::new();
        machine.ip(&format!(
            "link set lo up\n\
             route add local {GATEWAY} dev lo table local\n\
             route add local 10.201.0.0/16 dev lo src {GATEWAY} table local\n\
             route add unreachable 10.200.0.0/16\n\
             address add {GATEWAY6}/128 dev lo nodad\n\
             route add local fd13::/112 dev lo src {GATEWAY6} table local\n\
             route add unreachable fd12::/64\n\
             link add up0 address 02:00:00:00:00:01 type veth peer name eth0 address 02:00:00:00:00:02 netns {}\n\
             address add {MACHINE}/24 dev up0\n\
             address add {MACHINE6}/64 dev up0 nodad\n\
             link set up0 up\n\
             neighbour add {OUTSIDE} lladdr 02:00:00:00:00:02 dev up0 nud permanent\n\
             neighbour add {OUTSIDE6} lladdr 02:00:00:00:00:02 dev up0 nud permanent\n",
            outside.thread_id
        ));
        outside.ip(&format!(
            "link set lo up\naddress add {OUTSIDE}/24 dev eth0\naddress add {OUTSIDE6}/64 dev eth0 nodad\n\
             link set eth0 up\n\
             neighbour add {MACHINE} lladdr 02:00:00:00:00:01 dev eth0 nud permanent\n\
             neighbour add {MACHINE6} lladdr 02:00:00:00:00:01 dev eth0 nud permanent\n\
             route add 10.200.0.0/15 via {MACHINE}\nroute add fd12::/15 via {MACHINE6}\n"
        ));
        machine.set("ipv4/conf/up0/forwarding", "1");
        machine.set("ipv6/conf/all/forwarding", "1");
        let rules = machine.run(move || Rules::open(TABLE, &ranges(), claimed)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut bed = Self { machine, outside, pods: vec![], rules, runtime };
        outside_serves(&bed.outside);
        (0..pods).for_each(|_| bed.add_pod());
        Some(bed)
    }

    /// All pods, with nothing said of them, and no Services.
    pub(crate) fn state(&self) -> State {
        State { pods: self.pods.iter().map(|pod| pod.rules.clone()).collect(), services: vec![] }
    }

    fn add_pod(&mut self) {
        let number = self.pods.len();
        let addresses = [pod_address(number), pod_address6(number)];
        let interface = interface(number);
        let (space, [v4, v6]) = (Space::new(), addresses.clone());
        self.machine.ip(&format!(
            "link add {interface} address ee:ee:ee:ee:ee:ee type veth peer name eth0 address 0a:58:0a:c8:00:{last:02x} netns {id}\n\
             link set {interface} up\n\
             neighbour add {v4} lladdr 0a:58:0a:c8:00:{last:02x} dev {interface} nud permanent\n\
             neighbour add {v6} lladdr 0a:58:0a:c8:00:{last:02x} dev {interface} nud permanent\n\
             route add {v4} dev {interface} src {GATEWAY}\n\
             route add {v6} dev {interface} src {GATEWAY6}\n",
            id = space.thread_id,
            last = number + 2,
        ));
        space.ip(&format!(
            "link set lo up\nlink set eth0 up\naddress add {v4}/32 dev eth0\naddress add {v6}/128 dev eth0 nodad\n\
             neighbour add 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent\n\
             route add 169.254.1.1 dev eth0 scope link\n\
             route add default via 169.254.1.1 dev eth0 src {v4}\n\
             neighbour add fe80::1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent\n\
             route add ::/0 via fe80::1 dev eth0 src {v6}\n"
        ));
        self.machine.set(&format!("ipv4/conf/{interface}/forwarding"), "1");
        self.machine.set(&format!("ipv4/conf/{interface}/route_localnet"), "1");
        space.serve(&format!("pod{number}"), ([0_u16; 8], 8080).into());
        let rules = PodRules {
            uid: uid(number),
            addresses: addresses.map(|address| address.parse().unwrap()).to_vec(),
            host_ports: vec![],
            policy: PodPolicy::default(),
        };
        self.pods.push(Pod { space, rules });
    }

    pub(crate) fn wait(&self, done: impl Future<Output = Result<(), RulesError>>) {
        self.try_wait(done).unwrap_or_else(|error| panic!("{error}"));
    }

    pub(crate) fn try_wait(
        &self,
        done: impl Future<Output = Result<(), RulesError>>,
    ) -> Result<(), RulesError> {
        self.runtime.block_on(done)
    }

    pub(crate) fn set_service(&self, name: &str, ports: Vec<ServicePort>) {
        self.wait(self.rules.set_service(service_name(name), ports));
    }

    pub(crate) fn set_pod(&self, rules: PodRules) {
        self.wait(self.rules.set_pod(rules));
    }

    pub(crate) fn policy(&self, pod: usize, policy: PodPolicy) {
        self.set_pod(PodRules { policy, ..self.pods[pod].rules.clone() });
    }
}

/// Where the outsider says who came: ports 80 of TCP and UDP.
fn outside_serves(outside: &Space) {
    outside.serve("outside", ([0_u16; 8], 80).into());
}

pub(crate) fn ranges() -> Ranges {
    let range = |text: &str| text.parse().unwrap();
    Ranges {
        pods: vec![range("10.200.0.0/16"), range("fd12::/64")],
        services: vec![range("10.201.0.0/16"), range("fd13::/112")],
    }
}

pub(crate) fn pod_address(number: usize) -> String {
    format!("10.200.0.{}", number + 2)
}

pub(crate) fn pod_address6(number: usize) -> String {
    format!("fd12::{:x}", number + 2)
}

pub(crate) fn interface(number: usize) -> String {
    format!("mp0ac800{:02x}", number + 2)
}

pub(crate) fn uid(number: usize) -> PodUid {
    format!("00000000-0000-0000-0000-{number:012}").into()
}

pub(crate) fn service_name(name: &str) -> ServiceName {
    ServiceName { namespace: "default".to_owned(), name: name.to_owned() }
}

/// TCP port 80 at these addresses, by these pods, of both families.
pub(crate) fn service(addresses: &[&str], pods: &[usize]) -> ServicePort {
    let at = |address: &IpAddr| SocketAddr::new(*address, 8080);
    let endpoints = pods.iter().flat_map(|pod| [pod_address(*pod), pod_address6(*pod)]);
    ServicePort {
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        protocol: PortProtocol::Tcp,
        port: 80,
        node_port: None,
        affinity: None,
        endpoints: endpoints.map(|address| at(&address.parse().unwrap())).collect(),
    }
}
