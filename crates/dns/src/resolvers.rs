//! The resolvers of the machine, as its `resolv.conf` names them at the time.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::rr::Name;
use rustix::rand::{GetRandomFlags, getrandom};

use crate::name;

/// As many as C libraries ask.
const RESOLVERS_MAX: usize = 3;
const PORT: u16 = 53;
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A resolver that fails so often in a row is left out for a while.
const FAILURES_MAX: u32 = 2;
const LEFT_OUT_TIME: Duration = Duration::from_secs(1);

/// Resolvers, until the file is another.
#[derive(Debug)]
pub(crate) struct Resolvers {
    path: PathBuf,
    /// Where this server answers itself.
    own: Vec<IpAddr>,
    known: Mutex<Option<(Stamp, Arc<List>)>>,
}

/// What is different when a file was written or replaced.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

#[derive(Debug)]
pub(crate) struct List {
    pub(crate) resolvers: Vec<Resolver>,
    /// Below this name one name for each resolver is asked for once: whoever hears the question here knows of a circle.
    probe: Option<Name>,
}

#[derive(Debug)]
pub(crate) struct Resolver {
    pub(crate) address: SocketAddr,
    failures: AtomicU32,
    left_out_until: Mutex<Option<Instant>>,
    /// What it is asked comes back here.
    comes_back: AtomicBool,
}

impl Resolvers {
    pub(crate) fn new(path: PathBuf, own: Vec<IpAddr>) -> Self {
        Self { path, own, known: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Those of now, and whether they are others than before.
    pub(crate) fn current(&self) -> (Arc<List>, bool) {
        let stamp = stamp(&self.path);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, list)) = &*known
            && *of == stamp
        {
            return (list.clone(), false);
        }
        let list = Arc::new(self.read());
        *known = Some((stamp, list.clone()));
        (list, true)
    }

    /// Those that were last read.
    pub(crate) fn known(&self) -> Option<Arc<List>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|(_, list)| list.clone())
    }

    fn read(&self) -> List {
        // Without the file, or a line in it, C libraries ask this machine, too.
        let small = fs::metadata(&self.path).is_ok_and(|metadata| metadata.len() <= FILE_BYTES_MAX);
        let text = if small { fs::read_to_string(&self.path).unwrap_or_default() } else { String::new() };
        let mut addresses = parse(&text);
        if addresses.is_empty() {
            addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)));
        }
        addresses.retain(|address| {
            let is_own = self.own.contains(&address.ip());
            if is_own {
                tracing::warn!(
                    "{} names {}, which is the engine's own DNS: it is not asked for the names of others; name \
                     another resolver there",
                    self.path.display(),
                    address.ip()
                );
            }
            !is_own
        });
        let mut random = [0; 8];
        // getrandom(2) gives so few bytes whole once the kernel has any, which it had long before this program.
        let _ = getrandom(&mut random, GetRandomFlags::empty());
        let probe = name::parse(&format!("{:016x}.loop", u64::from_be_bytes(random)));
        List { resolvers: addresses.into_iter().map(Resolver::new).collect(), probe }
    }
}

impl List {
    /// The name that shows whether what this resolver is asked comes back.
    pub(crate) fn probe(&self, index: usize) -> Option<Name> {
        name::under(self.probe.as_ref()?, &index.to_string())
    }

    /// The resolver through which this question of ours came back.
    pub(crate) fn came_back(&self, name: &Name) -> Option<&Resolver> {
        let index = (0..self.resolvers.len()).find(|index| self.probe(*index).as_ref() == Some(name))?;
        self.resolvers.get(index)
    }
}

impl Resolver {
    fn new(address: SocketAddr) -> Self {
        let (failures, left_out_until) = (AtomicU32::new(0), Mutex::default());
        Self { address, failures, left_out_until, comes_back: AtomicBool::new(false) }
    }

    pub(crate) fn is_asked(&self, now: Instant) -> bool {
        let left_out_until = self.left_out_until.lock().unwrap_or_else(PoisonError::into_inner);
        left_out_until.is_none_or(|until| until <= now) && !self.comes_back.load(Ordering::Relaxed)
    }

    pub(crate) fn answered(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, now: Instant) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_MAX {
            let mut left_out_until = self.left_out_until.lock().unwrap_or_else(PoisonError::into_inner);
            *left_out_until = Some(now + LEFT_OUT_TIME);
        }
    }

    /// Whether that is news.
    pub(crate) fn set_comes_back(&self) -> bool {
        !self.comes_back.swap(true, Ordering::Relaxed)
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| address(words.next()?)).flatten()
    };
    text.lines().filter_map(server).take(RESOLVERS_MAX).collect()
}

/// An address; one of a link has that link's name or number behind it.
fn address(text: &str) -> Option<SocketAddr> {
    let Some((address, link)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse().ok()?, PORT));
    };
    let index = link.parse().ok().or_else(|| {
        let is_name = !link.contains('/') && link != "..";
        let path = Path::new("/sys/class/net").join(link).join("ifindex");
        is_name.then(|| fs::read_to_string(path).ok()?.trim().parse().ok()).flatten()
    })?;
    Some(SocketAddrV6::new(address.parse().ok()?, PORT, 0, index).into())
}

#[cfg(test)]
impl Resolvers {
    /// As if the file named them.
    pub(crate) fn of(addresses: &[SocketAddr]) -> Self {
        let resolvers = Self::new(PathBuf::from("/nonexistent"), Vec::new());
        let list = List {
            resolvers: addresses.iter().copied().map(Resolver::new).collect(),
            probe: name::parse("0123456789abcdef.loop"),
        };
        *resolvers.known.lock().unwrap() = Some((None, Arc::new(list)));
        resolvers
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::{Resolvers, parse};

    #[test]
    fn lines_of_the_file() {
        let text = "# nameserver 9.9.9.9\nnameserver 127.0.0.53 # stub\nnameserver\nnameserver x\n\
            search a b\nnameserver fe80::1%1\nnameserver ::1\nnameserver 1.1.1.1\n";
        let texts: Vec<String> = parse(text).iter().map(SocketAddr::to_string).collect();
        assert_eq!(texts, ["127.0.0.53:53", "[fe80::1%1]:53", "[::1]:53"]);
    }

    #[test]
    fn another_file_is_read_when_it_is_there() {
        let path = std::env::temp_dir().join(format!("resolv-{}.conf", std::process::id()));
        let own: IpAddr = "10.201.0.10".parse().unwrap();
        let resolvers = Resolvers::new(path.clone(), vec![own]);
        let texts = || {
            let (list, is_new) = resolvers.current();
            let texts = list.resolvers.iter().map(|resolver| resolver.address.to_string());
            (texts.collect::<Vec<String>>().join(" "), is_new)
        };
        assert_eq!(texts(), ("127.0.0.1:53".to_owned(), true));
        assert_eq!(texts(), ("127.0.0.1:53".to_owned(), false));
        std::fs::write(&path, "nameserver 10.201.0.10\nnameserver 10.0.0.2\n").unwrap();
        assert_eq!(texts(), ("10.0.0.2:53".to_owned(), true));
        assert_eq!(texts(), ("10.0.0.2:53".to_owned(), false));
        std::fs::write(&path, "nameserver 10.201.0.10\n").unwrap();
        assert_eq!(texts(), (String::new(), true));
        std::fs::remove_file(&path).unwrap();
    }
}
