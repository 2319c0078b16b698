//! Names of others: asked of the machine's resolvers, once for all who wait, and remembered for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RecordType};
use tokio::sync::watch;

use crate::cache::{Cache, Key, Response};
use crate::resolvers::{List, Resolvers};
use crate::upstream;

/// Questions to resolvers at a time; each has a socket.
const QUESTIONS_MAX: usize = 512;
/// How long a resolver may take for the first try and the second. Clients give up after five seconds.
const TRIES: [Duration; 2] = [Duration::from_millis(1_000), Duration::from_millis(1_500)];
/// Nobody reads the same line more often.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// There is no answer to be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NoAnswer;

type Outcome = Result<Arc<Response>, NoAnswer>;

#[derive(Debug)]
pub(crate) struct Forwarder {
    resolvers: Resolvers,
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    cache: Cache,
    asked: HashMap<Key, watch::Receiver<Option<Outcome>>>,
    complained: Option<Instant>,
}

impl Forwarder {
    pub(crate) fn new(resolvers: Resolvers) -> Self {
        Self { resolvers, state: Mutex::default() }
    }

    /// What is known without asking.
    pub(crate) fn cached(&self, key: &Key) -> Option<Arc<Response>> {
        self.state().cache.get(key, Instant::now())
    }

    /// Asks, unless somebody is asking already.
    pub(crate) async fn resolve(self: &Arc<Self>, key: &Key) -> Outcome {
        if self.is_our_own_question(&key.name) {
            return Err(NoAnswer);
        }
        let mut outcome = self.begin(key)?;
        let outcome = outcome.wait_for(Option::is_some).await.map_err(|_| NoAnswer)?;
        outcome.clone().unwrap_or(Err(NoAnswer))
    }

    fn begin(self: &Arc<Self>, key: &Key) -> Result<watch::Receiver<Option<Outcome>>, NoAnswer> {
        let (list, is_new) = self.resolvers.current();
        let mut state = self.state();
        if is_new {
            state.cache.clear();
            self.look_for_circles(&list);
        }
        if let Some(response) = state.cache.get(key, Instant::now()) {
            return Ok(watch::channel(Some(Ok(response))).1);
        }
        if let Some(outcome) = state.asked.get(key) {
            return Ok(outcome.clone());
        }
        if state.asked.len() >= QUESTIONS_MAX {
            state.complain(|| {
                format!("more than {QUESTIONS_MAX} questions wait for resolvers: more are refused")
            });
            return Err(NoAnswer);
        }
        let (sender, receiver) = watch::channel(None);
        state.asked.insert(key.clone(), receiver.clone());
        let (forwarder, key) = (self.clone(), key.clone());
        // It goes on without whoever asked first: others may wait, and the answer is kept.
        tokio::spawn(async move {
            let outcome = forwarder.ask_all(&list, &key).await;
            forwarder.end(key, &outcome);
            sender.send_replace(Some(outcome));
        });
        Ok(receiver)
    }

    fn end(&self, key: Key, outcome: &Outcome) {
        let mut state = self.state();
        state.asked.remove(&key);
        match outcome {
            Ok(response) => state.cache.put(key, response.clone()),
            Err(NoAnswer) => state.complain(|| {
                format!(
                    "no resolver of {} answers, asked for {}: pods get no names but the cluster's; see whether the \
                     machine itself resolves names",
                    self.resolvers.path().display(),
                    key.name
                )
            }),
        }
    }

    /// The first answer of a resolver that knows; else what one said that does not.
    async fn ask_all(&self, list: &List, key: &Key) -> Outcome {
        let mut said = None;
        for resolver in list.resolvers.iter().filter(|resolver| resolver.is_asked(Instant::now())) {
            for patience in TRIES {
                match tokio::time::timeout(patience, upstream::ask(resolver.address, key)).await {
                    Ok(Ok(response)) => {
                        resolver.answered();
                        if matches!(response.code(), ResponseCode::NoError | ResponseCode::NXDomain) {
                            return Ok(Arc::new(response));
                        }
                        said = Some(response);
                        break;
                    }
                    Ok(Err(error)) => {
                        tracing::debug!(resolver = %resolver.address, %error, "a resolver cannot be asked");
                        resolver.failed(Instant::now());
                    }
                    Err(_) => resolver.failed(Instant::now()),
                }
            }
        }
        said.map(Arc::new).ok_or(NoAnswer)
    }

    /// Asks each resolver for a name that nobody has. If it comes here, what that resolver is asked comes back to us.
    fn look_for_circles(self: &Arc<Self>, list: &Arc<List>) {
        for (index, resolver) in list.resolvers.iter().enumerate() {
            let Some(name) = list.probe(index) else { continue };
            let key = Key { name, kind: RecordType::HINFO, dnssec: false, checking_disabled: false };
            let address = resolver.address;
            tokio::spawn(async move {
                // What is answered does not matter, only who is asked.
                let _ = tokio::time::timeout(TRIES[0], upstream::ask(address, &key)).await;
            });
        }
    }

    fn is_our_own_question(&self, name: &Name) -> bool {
        let Some(list) = self.resolvers.known() else { return false };
        let Some(resolver) = list.came_back(name) else { return false };
        if resolver.set_comes_back() {
            tracing::error!(
                "the resolver {} of {} asks the engine's own DNS again: it is asked no more; take the engine's address \
                 out of its configuration, or name another resolver",
                resolver.address.ip(),
                self.resolvers.path().display()
            );
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No entry is left half made.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn complain(&mut self, text: impl FnOnce() -> String) {
        let now = Instant::now();
        if self.complained.is_none_or(|last| now.saturating_duration_since(last) >= COMPLAINT_INTERVAL) {
            self.complained = Some(now);
            tracing::warn!("{}", text());
        }
    }
}
