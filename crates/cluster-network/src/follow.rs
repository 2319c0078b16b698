//! Follows the store, and tells the rules and the names.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use apiserver::controllers::recorder;
use apiserver::objects;
use dns::Zone;
use network::{PodPolicy, PolicySource, Rules, RulesError, State as RulesState};
use podspec::Pod;
use store::{Change, ChangeKind, Object, Store, Watch};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::policy::PodFacts;
use crate::state::{Kind, State, Telling};

/// Changes that are looked at before what came of them is told.
const TOGETHER_MAX: usize = 256;
/// What the kernel refused is tried again after these times, and with each change.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRIES_MAX: u32 = 8;

const PART: &str = "cluster-network";
const KINDS: [Kind; 5] = [Kind::Namespaces, Kind::Services, Kind::Slices, Kind::Policies, Kind::Pods];

/// What the store says of the network. Dropped, it follows no more; what was told stays in force.
#[derive(Debug)]
pub struct ClusterNetwork {
    policies: Arc<Policies>,
    _tasks: JoinSet<()>,
}

/// Answers what holds for a pod that begins.
#[derive(Debug)]
struct Policies {
    state: Mutex<State>,
    attached: Notify,
}

impl ClusterNetwork {
    /// Reads all there is, puts it in force at once, and follows from there. Without `rules`, or when the kernel refuses
    /// them, the zone alone is told.
    /// `dns` is where the engine answers names.
    pub async fn start(
        store: &Store,
        node: &str,
        dns: &[SocketAddr],
        zone: Zone,
        rules: Option<Rules>,
    ) -> Started {
        let state = State::new(node, vec![PodFacts::dns(dns)]);
        let policies = Arc::new(Policies { state: Mutex::new(state), attached: Notify::new() });
        let mut follower = Follower {
            store: store.clone(),
            policies: policies.clone(),
            sources: KINDS.map(Source::new),
            zone,
            rules: rules.clone(),
            failures: 0,
        };
        follower.read_all();
        let failure = match &rules {
            Some(rules) => rules.replace(follower.first()).await.err(),
            None => {
                follower.first();
                None
            }
        };
        if failure.is_some() {
            follower.rules = None;
        }
        let mut tasks = JoinSet::new();
        tasks.spawn(follower.run());
        Started { network: Self { policies, _tasks: tasks }, failure }
    }

    /// For pods that begin.
    #[must_use]
    pub fn policies(&self) -> Arc<dyn PolicySource> {
        self.policies.clone()
    }
}

/// A network that is followed, and why its rules are not in force, if they are not.
#[derive(Debug)]
pub struct Started {
    pub network: ClusterNetwork,
    pub failure: Option<RulesError>,
}

impl PolicySource for Policies {
    fn policy_of(&self, pod: &Pod, addresses: &[IpAddr]) -> PodPolicy {
        let policy = self.state().attach(pod, addresses);
        // Others may name the new pod.
        self.attached.notify_one();
        policy
    }
}

impl Policies {
    fn state(&self) -> MutexGuard<'_, State> {
        // A state that is half changed has marked what it changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One kind, from a listing on.
#[derive(Debug)]
struct Source {
    kind: Kind,
    resource: store::Resource,
    /// `None`: it has to be listed first.
    watch: Option<Watch>,
}

impl Source {
    fn new(kind: Kind) -> Self {
        Self { kind, resource: kind.api().stored(), watch: None }
    }

    /// What is there; what is not is gone. Watches from there.
    fn list(&mut self, store: &Store, state: &mut State) {
        let listing = store.list(self.resource, None, None, None, |_| true);
        self.watch = store.watch(self.resource, None, listing.revision).ok();
        let mut known: BTreeSet<(String, String)> = state.known(self.kind).into_iter().collect();
        for object in &listing.objects {
            known.remove(&(object.key.namespace.clone(), object.key.name.clone()));
            present(state, self.kind, object);
        }
        for (namespace, name) in known {
            state.gone(self.kind, &namespace, &name);
        }
    }

    /// `None`: changes were missed. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> (Kind, Option<Change>) {
        let change = match &mut self.watch {
            Some(watch) => watch.next().await.ok(),
            None => None,
        };
        (self.kind, change)
    }
}

fn present(state: &mut State, kind: Kind, object: &Object) {
    match objects::shared(object) {
        Ok(value) => state.present(kind, &value),
        Err(error) => tracing::error!("{} {} cannot be read: {error}", object.key.namespace, object.key.name),
    }
}

#[derive(Debug)]
struct Follower {
    store: Store,
    policies: Arc<Policies>,
    sources: [Source; 5],
    zone: Zone,
    rules: Option<Rules>,
    /// How often in a row the kernel refused something.
    failures: u32,
}

impl Follower {
    fn read_all(&mut self) {
        let mut state = self.policies.state();
        for source in &mut self.sources {
            source.list(&self.store, &mut state);
        }
    }

    /// All of it, for a table that is made anew. Names are told at once.
    fn first(&self) -> RulesState {
        let tellings = self.policies.state().tellings();
        let mut all = RulesState::default();
        for telling in tellings {
            match telling {
                Telling::Service(name, ports) => all.services.push((name, ports)),
                Telling::Pod(rules) => all.pods.push(rules),
                Telling::NoPod(_) => {}
                Telling::Names(name, names) => self.zone.set_service(&name.namespace, &name.name, names),
                Telling::Namespace(name, exists) => self.zone.set_namespace(&name, exists),
            }
        }
        all
    }

    async fn run(mut self) {
        loop {
            let delay = RETRY_FIRST * 2_u32.pow(self.failures.saturating_sub(1));
            let retries = (1..=RETRIES_MAX).contains(&self.failures);
            let policies = self.policies.clone();
            let [namespaces, services, slices, network_policies, pods] = &mut self.sources;
            let seen = tokio::select! {
                seen = namespaces.next() => Some(seen),
                seen = services.next() => Some(seen),
                seen = slices.next() => Some(seen),
                seen = network_policies.next() => Some(seen),
                seen = pods.next() => Some(seen),
                () = policies.attached.notified() => None,
                () = tokio::time::sleep(delay), if retries => None,
            };
            if let Some((kind, change)) = seen {
                self.see(kind, change);
                self.see_more();
            }
            let tellings = self.policies.state().tellings();
            self.tell(tellings).await;
        }
    }

    fn see(&mut self, kind: Kind, change: Option<Change>) {
        let mut state = self.policies.state();
        match change {
            Some(change) if change.kind == ChangeKind::Deleted => {
                state.gone(kind, &change.object.key.namespace, &change.object.key.name);
            }
            Some(change) => present(&mut state, kind, &change.object),
            None => {
                if let Some(source) = self.sources.iter_mut().find(|source| source.kind == kind) {
                    source.list(&self.store, &mut state);
                }
            }
        }
    }

    /// What has come meanwhile, so that it is told together.
    fn see_more(&mut self) {
        for index in 0..self.sources.len() {
            for _ in 0..TOGETHER_MAX {
                let source = &mut self.sources[index];
                let kind = source.kind;
                match source.watch.as_mut().map(Watch::try_next) {
                    Some(Ok(Some(change))) => self.see(kind, Some(change)),
                    // An error is found again by whoever waits next.
                    _ => break,
                }
            }
        }
    }

    /// Names first: they lead to addresses that are refused until the rules are there.
    async fn tell(&mut self, tellings: Vec<Telling>) {
        let mut asked = JoinSet::new();
        for telling in tellings {
            match &telling {
                Telling::Names(name, names) => {
                    self.zone.set_service(&name.namespace, &name.name, names.clone());
                }
                Telling::Namespace(name, exists) => self.zone.set_namespace(name, *exists),
                _ => {
                    if let Some(rules) = self.rules.clone() {
                        asked.spawn(async move { (put(&rules, &telling).await, telling) });
                    }
                }
            }
        }
        if asked.is_empty() {
            return;
        }
        let mut failed = Vec::new();
        while let Some(done) = asked.join_next().await {
            if let Ok((Err(error), telling)) = done {
                failed.push((error, telling));
            }
        }
        self.failures =
            if failed.is_empty() { 0 } else { self.failures.saturating_add(1).min(RETRIES_MAX + 1) };
        for (error, telling) in failed {
            self.complain(&error, &telling).await;
            self.policies.state().again(&telling);
        }
    }

    /// In the log, and as an event of the Service.
    async fn complain(&self, error: &RulesError, telling: &Telling) {
        let what = match telling {
            Telling::Service(name, _) => format!("Service {}/{}", name.namespace, name.name),
            Telling::Pod(rules) => format!("pod {}", rules.uid),
            Telling::NoPod(uid) => format!("pod {uid}, which is gone"),
            Telling::Names(..) | Telling::Namespace(..) => return,
        };
        let message = format!(
            "the rules of {what} are not in force, those before are: {}; it is tried again, and with each change",
            chain(error)
        );
        tracing::error!("{message}");
        let Telling::Service(name, _) = telling else { return };
        let service = self.policies.state().service(name).cloned();
        if let Some(service) = service {
            recorder::warn(&self.store, &service, PART, "FailedToSetRules", &message).await;
        }
    }
}

async fn put(rules: &Rules, telling: &Telling) -> Result<(), RulesError> {
    match telling.clone() {
        Telling::Service(name, ports) => rules.set_service(name, ports).await,
        Telling::Pod(of_pod) => rules.set_pod(of_pod).await,
        Telling::NoPod(uid) => rules.remove_pod(uid).await,
        Telling::Names(..) | Telling::Namespace(..) => Ok(()),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
