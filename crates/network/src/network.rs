//! One network, from the start of its engine on.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use linux_sys::lock::Lock;
use podspec::{Pod, PodUid};
use ports::{Answer, Attachment, PodContext, PodNetwork, PortError};
use shim_protocol::RecordError;

use crate::addresses::Addresses;
use crate::claim::{self, ClaimError, Claimed, Wanted};
use crate::forwarding::{self, Uplink};
use crate::host_port::{self, HostPortError};
use crate::link::{self, LinkError};
use crate::maker::{Ahead, Common, MakeError, Maker};
use crate::netlink::Netlink;
use crate::record::{self, NetworkRecord, PodRecord};
use crate::uplinks::Watch;
use crate::{HostPort, PodPolicy, PodRules, Ranges, Rules, RulesError, sweep};

/// How often ranges are chosen when others are always faster.
const CHOICES_MAX: usize = 8;

/// Which network an engine is to have.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of its record, and the beginning of the name of its table of rules: `serve`, `run-PID-NUMBER`.
    pub name: String,
    pub wanted: Wanted,
    pub ahead: Ahead,
    /// Holds `network/NAME.json`.
    pub data_dir: PathBuf,
    /// Holds a directory for each pod.
    pub pods_dir: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error("cannot lock the network {name}")]
    Lock { name: String, source: io::Error },
    #[error("another engine has the network {name}: stop it, or choose another place with --root DIR")]
    Locked { name: String },
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("cannot speak to the kernel about its network (rtnetlink)")]
    Netlink(#[source] io::Error),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(
        "pods have addresses of the range {range}, which is not {wanted}: delete them, or run `monopod reset`, before \
         the range is changed"
    )]
    InUse { range: String, wanted: String },
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("cannot start the thread that makes network namespaces")]
    Start(#[source] io::Error),
    #[error("cannot make a pod's network namespace here")]
    Make(#[source] MakeError),
}

/// What NetworkPolicies say of a pod at this moment.
pub trait PolicySource: Send + Sync + fmt::Debug + 'static {
    fn policy_of(&self, pod: &Pod, addresses: &[IpAddr]) -> PodPolicy;
}

/// A network that is in force. When it is dropped its routes, rules and record stay, for the next engine; see
/// [`Network::remove`].
#[derive(Debug)]
pub struct Network {
    name: String,
    data_dir: PathBuf,
    ranges: Ranges,
    claimed: Claimed,
    table: String,
    maker: Maker,
    pods: Mutex<BTreeMap<PodUid, Held>>,
    policies: OnceLock<Arc<dyn PolicySource>>,
    rules: OnceLock<Rules>,
    watch: OnceLock<Watch>,
    _lock: Lock,
}

/// What a pod of this engine has.
#[derive(Debug, Default)]
struct Held {
    number: Option<u32>,
    /// The descriptors are what keeps them.
    host_ports: Vec<OwnedFd>,
}

#[derive(Debug, thiserror::Error)]
enum AttachError {
    #[error(transparent)]
    Make(#[from] MakeError),
    #[error(transparent)]
    HostPort(#[from] HostPortError),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error("cannot put the rules of the pod in force")]
    Rules(#[source] RulesError),
    #[error(
        "the pod has host ports or a NetworkPolicy, which need nf_tables, and this machine has none to be used: the \
         engine's log says why"
    )]
    NoRules,
    #[error("the pod has no addresses yet")]
    Unattached,
}

impl Network {
    /// Takes over the network of this name, or makes one. First removes those of engines that are dead, if no pod has
    /// addresses of them.
    ///
    /// # Errors
    /// When the machine lacks what it takes, or the ranges are not free; nothing is left then.
    pub fn open(options: Options) -> Result<Arc<Self>, NetworkError> {
        let Options { name, wanted, ahead, data_dir, pods_dir } = options;
        let locked = record::lock(&data_dir, &name);
        let lock = locked.map_err(|source| NetworkError::Lock { name: name.clone(), source })?;
        let lock = lock.ok_or_else(|| NetworkError::Locked { name: name.clone() })?;
        for error in sweep::dead(&data_dir, &pods_dir) {
            tracing::warn!("something of an earlier network is left: {error}");
        }
        let mut netlink = Netlink::open().map_err(NetworkError::Netlink)?;
        let pods = record::pods(&pods_dir);
        let opened =
            take_over(&mut netlink, &name, &wanted, &data_dir, &pods).and_then(|(record, claimed)| {
                let addresses = addresses(&mut netlink, &name, &record.ranges, pods)?;
                Ok((addresses, record, claimed))
            });
        let ((addresses, held), record, claimed) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                if !record::path(&data_dir, &name).exists() {
                    let _ = record::remove(&data_dir, &name);
                }
                return Err(error);
            }
        };
        let uplinks = forwarding::uplinks(&mut netlink).map_err(NetworkError::Netlink)?;
        forward(&uplinks, &data_dir, &name)?;
        let mtu = Arc::new(AtomicU32::new(mtu(&uplinks)));
        let common = Common { gateways: record.ranges.gateways(), mtu };
        let maker = Maker::start(addresses, common, ahead).map_err(NetworkError::Start)?;
        let network = Arc::new(Self {
            name,
            data_dir,
            ranges: record.ranges,
            claimed,
            table: record.table,
            maker,
            pods: Mutex::new(held),
            policies: OnceLock::new(),
            rules: OnceLock::new(),
            watch: OnceLock::new(),
            _lock: lock,
        });
        Ok(network)
    }

    /// Follows the default routes of the machine, within a tokio runtime, and makes sure that a namespace can be made.
    ///
    /// # Errors
    /// When none can.
    pub async fn start(self: &Arc<Self>) -> Result<(), NetworkError> {
        match Watch::start(Arc::downgrade(self)) {
            Ok(watch) => _ = self.watch.set(watch),
            Err(error) => tracing::warn!("default routes that come later are not seen: {error}"),
        }
        match self.maker.first().await {
            Ok(()) => Ok(()),
            // It can, but for the addresses, which each pod will be told.
            Err(MakeError::Exhausted(_)) => Ok(()),
            Err(error) => Err(NetworkError::Make(error)),
        }
    }

    #[must_use]
    pub fn ranges(&self) -> &Ranges {
        &self.ranges
    }

    #[must_use]
    pub fn claimed(&self) -> Claimed {
        self.claimed
    }

    /// The name of its table of rules.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Asked of each pod before its first container. Once.
    pub fn follow_policies(&self, policies: Arc<dyn PolicySource>) {
        let _ = self.policies.set(policies);
    }

    /// Told of each pod of which there is something to say. Once, before the first pod.
    pub fn enforce_by(&self, rules: Rules) {
        let _ = self.rules.set(rules);
    }

    /// Removes all of it from the machine, which no pod may need any more.
    ///
    /// # Errors
    /// All that could not be removed.
    #[must_use]
    pub fn remove(&self) -> Vec<String> {
        if let Some(rules) = self.rules.get() {
            rules.end();
        }
        match NetworkRecord::read(&self.data_dir, &self.name) {
            Ok(Some(dated)) => sweep::remove(&self.data_dir, &self.name, &dated.record),
            Ok(None) => Vec::new(),
            Err(error) => vec![PortError::chain(&error).0],
        }
    }

    /// To be called when routes may have changed.
    pub(crate) fn follow_routes(&self) {
        let followed = Netlink::open().and_then(|mut netlink| forwarding::uplinks(&mut netlink));
        let failure = match followed {
            Ok(uplinks) => {
                self.maker.set_mtu(mtu(&uplinks));
                let forwarded = forward(&uplinks, &self.data_dir, &self.name);
                forwarded.err().map(|error| PortError::chain(&error).0)
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(failure) = failure {
            tracing::warn!("pods may not reach the outside: {failure}");
        }
    }

    async fn attach_pod(&self, pod: &PodContext) -> Result<Attachment, AttachError> {
        let own_users = pod.pod.spec.own_users;
        let number = self.held(&pod.pod.uid, |held| held.number);
        let ports = host_port::of(&pod.pod.spec);
        if self.held(&pod.pod.uid, |held| held.host_ports.is_empty()) {
            let reserved = host_port::reserve(&ports)?;
            self.held(&pod.pod.uid, |held| held.host_ports = reserved);
        }
        let (number, addresses, netns) = match number {
            Some(number) if own_users => (number, self.maker.addresses(number), None),
            Some(number) => {
                let ready = self.maker.make(number).await?;
                (number, ready.addresses, Some(ready.netns))
            }
            None if own_users => {
                let (number, addresses) = self.maker.take().await?;
                (number, addresses, None)
            }
            None => {
                let ready = self.maker.ready().await?;
                (ready.number, ready.addresses, Some(ready.netns))
            }
        };
        self.held(&pod.pod.uid, |held| held.number = Some(number));
        self.write_record(&pod.pod_dir, &addresses)?;
        self.put_rules(&pod.pod, ports, &addresses).await?;
        Ok(Attachment { netns, addresses })
    }

    async fn link_pod(&self, pod: &PodContext, netns: OwnedFd) -> Result<(), AttachError> {
        let number = self.held(&pod.pod.uid, |held| held.number).ok_or(AttachError::Unattached)?;
        Ok(self.maker.link(number, netns).await?)
    }

    /// A pod of an earlier engine, whose addresses have been known from the start.
    async fn adopt_pod(&self, pod: &PodContext) -> Result<(), AttachError> {
        let Some(record) = PodRecord::read(&pod.pod_dir)?.filter(|record| record.network == self.name) else {
            return Ok(());
        };
        let number = self.held(&pod.pod.uid, |held| held.number);
        let ports = host_port::of(&pod.pod.spec);
        match host_port::reserve(&ports) {
            Ok(reserved) => self.held(&pod.pod.uid, |held| held.host_ports = reserved),
            // It goes on as before.
            Err(error) => tracing::warn!(pod = %pod.pod.name, "{}", PortError::chain(&error)),
        }
        if let Some(number) = number
            && let Err(error) = self.maker.restore(number).await
        {
            tracing::warn!(pod = %pod.pod.name, "{}", PortError::chain(&error));
        }
        if let Err(error) = self.put_rules(&pod.pod, ports, &record.addresses).await {
            tracing::warn!(pod = %pod.pod.name, "{}", PortError::chain(&error));
        }
        Ok(())
    }

    fn let_go(&self, uid: &PodUid) {
        if let Some(rules) = self.rules.get() {
            rules.remove_pod_soon(uid.clone());
        }
        if let Some(Held { number: Some(number), .. }) = lock(&self.pods).remove(uid) {
            self.maker.free(number);
        }
    }

    fn write_record(&self, pod_dir: &Path, addresses: &[IpAddr]) -> Result<(), RecordError> {
        let record = PodRecord {
            network: self.name.clone(),
            interface: link::of(addresses),
            addresses: addresses.to_vec(),
        };
        record.write(pod_dir)
    }

    async fn put_rules(
        &self,
        pod: &Pod,
        host_ports: Vec<HostPort>,
        addresses: &[IpAddr],
    ) -> Result<(), AttachError> {
        let policy = self.policies.get().map(|source| source.policy_of(pod, addresses)).unwrap_or_default();
        if host_ports.is_empty() && policy == PodPolicy::default() {
            return Ok(());
        }
        let rules = self.rules.get().ok_or(AttachError::NoRules)?;
        let of_pod = PodRules { uid: pod.uid.clone(), addresses: addresses.to_vec(), host_ports, policy };
        rules.set_pod(of_pod).await.map_err(AttachError::Rules)
    }

    fn held<T>(&self, uid: &PodUid, look: impl FnOnce(&mut Held) -> T) -> T {
        look(lock(&self.pods).entry(uid.clone()).or_default())
    }
}

impl PodNetwork for Network {
    fn attach<'a>(&'a self, pod: &'a PodContext) -> Answer<'a, Attachment> {
        Box::pin(async move {
            let attached = self.attach_pod(pod).await;
            attached.map_err(|error| {
                if let Err(error) = self.release(pod) {
                    tracing::warn!(pod = %pod.pod.name, "{error}");
                }
                PortError::chain(&error)
            })
        })
    }

    fn attach_to<'a>(&'a self, pod: &'a PodContext, netns: OwnedFd) -> Answer<'a, ()> {
        Box::pin(async move { self.link_pod(pod, netns).await.map_err(|error| PortError::chain(&error)) })
    }

    fn adopt<'a>(&'a self, pod: &'a PodContext) -> Answer<'a, ()> {
        Box::pin(async move { self.adopt_pod(pod).await.map_err(|error| PortError::chain(&error)) })
    }

    fn release(&self, pod: &PodContext) -> Result<(), PortError> {
        PodRecord::remove(&pod.pod_dir)
            .map_err(|error| PortError(format!("cannot let go of the pod's addresses: {error}")))?;
        self.let_go(&pod.pod.uid);
        Ok(())
    }

    fn forget(&self, uid: &PodUid) {
        self.let_go(uid);
    }
}

/// The record of the network, whose ranges are claimed.
fn take_over(
    netlink: &mut Netlink,
    name: &str,
    wanted: &Wanted,
    data_dir: &Path,
    pods: &[(PodUid, Result<PodRecord, RecordError>)],
) -> Result<(NetworkRecord, Claimed), NetworkError> {
    let namespace = record::namespace().map_err(NetworkError::Netlink)?;
    if let Some(dated) = NetworkRecord::read(data_dir, name)? {
        let NetworkRecord { ranges, table, sysctls, namespace: before } = dated.record;
        if fits(&ranges, wanted) {
            let is_here = dated.of_this_boot && before == namespace;
            let sysctls = if is_here { sysctls } else { Vec::new() };
            let mut record = NetworkRecord { ranges, table, namespace, sysctls };
            if !forwarding::has_v6() {
                tracing::info!("pods that start from now on have no IPv6 addresses: it was switched off");
                record.ranges.forget_v6();
            }
            claim::check_again(netlink, &record.ranges)?;
            claim::claim(netlink, &record.ranges, true)?;
            record.write(data_dir, name)?;
            return Ok((record, Claimed::Before));
        }
        let is_used = |(_, record): &(PodUid, Result<PodRecord, RecordError>)| {
            record.as_ref().is_ok_and(|record| record.network == name)
        };
        if pods.iter().any(is_used) {
            let text = |ranges: &[ipnet::IpNet]| {
                ranges.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            };
            let wanted = [&wanted.pods[..], &wanted.services[..]].concat();
            return Err(NetworkError::InUse { range: text(&ranges.pods), wanted: text(&wanted) });
        }
        for error in
            sweep::remove(data_dir, name, &NetworkRecord { ranges, table, sysctls, namespace: before })
        {
            tracing::warn!("something of the network's earlier ranges is left: {error}");
        }
    }
    Ok((make(netlink, name, wanted, data_dir, namespace)?, Claimed::Now))
}

fn make(
    netlink: &mut Netlink,
    name: &str,
    wanted: &Wanted,
    data_dir: &Path,
    namespace: u64,
) -> Result<NetworkRecord, NetworkError> {
    let mut record = None;
    for _ in 0..CHOICES_MAX {
        let ranges = claim::choose(netlink, wanted, forwarding::has_v6())?;
        let table = format!("monopod-{name}-{:08x}", claim::tag()?);
        let chosen = NetworkRecord { ranges, table, namespace, sysctls: Vec::new() };
        chosen.write(data_dir, name)?;
        match claim::claim(netlink, &chosen.ranges, false) {
            Ok(true) => return Ok(chosen),
            Ok(false) => record = Some(chosen),
            Err(error) => {
                let _ = sweep::remove(data_dir, name, &chosen);
                return Err(error.into());
            }
        }
    }
    let _ = record::remove(data_dir, name);
    let range = record.and_then(|record| record.ranges.pods.first().copied()).unwrap_or_default();
    Err(ClaimError::Collides { range, route: range }.into())
}

/// Whether a network of before is what is wanted now.
fn fits(ranges: &Ranges, wanted: &Wanted) -> bool {
    let same =
        |wanted: &[ipnet::IpNet], have: &[ipnet::IpNet]| wanted.iter().all(|range| have.contains(range));
    same(&wanted.pods, &ranges.pods) && same(&wanted.services, &ranges.services)
}

/// Those that pods have are kept for them.
fn addresses(
    netlink: &mut Netlink,
    name: &str,
    ranges: &Ranges,
    pods: Vec<(PodUid, Result<PodRecord, RecordError>)>,
) -> Result<(Addresses, BTreeMap<PodUid, Held>), NetworkError> {
    let mut addresses = Addresses::new(ranges);
    let mut held = BTreeMap::new();
    let mut unread = false;
    for (uid, record) in pods {
        match record {
            Ok(record) if record.network == name => {
                let number = record.addresses.iter().find_map(|address| addresses.number(*address));
                match number {
                    Some(number) if addresses.keep(number) => {
                        held.insert(uid, Held { number: Some(number), host_ports: Vec::new() });
                    }
                    _ => tracing::error!("pod {uid} has an address that is not its own to have: delete it"),
                }
            }
            Ok(_) => {}
            Err(error) => {
                unread = true;
                tracing::warn!("{}", PortError::chain(&error));
            }
        }
    }
    for interface in link::names(netlink)? {
        let number = link::address(&interface).and_then(|address| addresses.number(address.into()));
        match number {
            // It may be that of the pod whose record cannot be read.
            Some(number) if unread => _ = addresses.keep(number),
            Some(number) => addresses.doubt(number),
            None => {}
        }
    }
    Ok((addresses, held))
}

/// Lets packets go on that come from these links, with what is changed on record before.
fn forward(uplinks: &[Uplink], data_dir: &Path, name: &str) -> Result<(), NetworkError> {
    let missing = forwarding::missing(uplinks);
    if missing.is_empty() {
        return Ok(());
    }
    record::change(data_dir, name, |record| record.add(&missing))?;
    for error in forwarding::make(&missing) {
        tracing::warn!("pods may not reach the outside: {error}");
    }
    Ok(())
}

/// The least of the links that lead outside.
fn mtu(uplinks: &[Uplink]) -> u32 {
    uplinks.iter().map(|uplink| uplink.mtu).min().unwrap_or(link::MTU)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
