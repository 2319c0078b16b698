//! The thread that owns the table.

use std::sync::Arc;
use std::time::Duration;
use std::{mem, thread};

use nftables::{Conntrack, Nftables, Operation, Transaction};
use podspec::PortProtocol;
use tokio::sync::{mpsc, oneshot};

use super::flows::Flows;
use super::table::Table;
use super::{RulesError, Shared, State, WAITING_MAX, lock, watch};
use crate::{Claimed, PodRules, Ranges, ServiceName, ServicePort};

/// So many requests are one transaction at most.
const TOGETHER_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Request {
    pub(super) wish: Wish,
    pub(super) answer: Option<oneshot::Sender<Result<(), RulesError>>>,
}

#[derive(Debug)]
pub(super) enum Wish {
    Replace(State),
    Service(ServiceName, Vec<ServicePort>),
    Pods(Vec<PodRules>),
    /// Of pods that are gone: see [`Shared`].
    Removals,
    Nothing,
    /// Somebody else deleted the table.
    Again,
}

/// Ends when all senders are gone; the table stays.
pub(super) fn start(
    table: &str,
    ranges: Ranges,
    claimed: Claimed,
    shared: Arc<Shared>,
) -> Result<mpsc::Sender<Request>, RulesError> {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let mut nftables = Nftables::open()?;
    nftables.commit(&probe(table, &ranges))?;
    let conntrack = Conntrack::open()?;
    let watch = watch::start(table, nftables.port(), sender.downgrade())?;
    let writer = Writer {
        name: table.to_owned(),
        table: Table::new(ranges),
        nftables,
        conntrack,
        shared,
        standing: Standing::Unwanted,
        claimed,
        afterwards: Flows::default(),
        _watch: watch,
    };
    let spawned = thread::Builder::new().name("rules".to_owned()).spawn(move || writer.run(receiver));
    spawned.map_err(|error| RulesError::Thread(Arc::new(error)))?;
    Ok(sender)
}

/// Everything that rules are made of, made and deleted in one step: nothing comes of it but the kernel's opinion.
fn probe(table: &str, ranges: &Ranges) -> Transaction {
    let mut everything = Table::new(ranges.clone());
    let name = ServiceName { namespace: "probe".to_owned(), name: "probe".to_owned() };
    let port = ServicePort {
        addresses: ranges.api(),
        protocol: PortProtocol::Tcp,
        port: 1,
        node_port: None,
        affinity: Some(Duration::from_secs(1)),
        endpoints: ranges
            .gateways()
            .into_iter()
            .flat_map(|address| [1, 2].map(|port| (address, port).into()))
            .collect(),
    };
    everything.set_service(name, &[port]);
    let mut operations = everything.everything();
    operations.push(Operation::DeleteTable);
    Transaction { table: format!("{table}-probe"), operations }
}

struct Writer {
    name: String,
    table: Table,
    nftables: Nftables,
    conntrack: Conntrack,
    shared: Arc<Shared>,
    standing: Standing,
    /// As to the first table; whoever makes another one anew has had one.
    claimed: Claimed,
    /// What to look at when everybody has been answered: an engine does not wait for it at its start.
    afterwards: Flows,
    _watch: watch::Watch,
}

/// Of the kernel's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    /// Nobody has asked for one yet, or there is to be none.
    Unwanted,
    /// It is not what it is to be.
    Wanted,
    InForce,
}

impl Writer {
    fn run(mut self, mut receiver: mpsc::Receiver<Request>) {
        while let Some(first) = receiver.blocking_recv() {
            let mut requests = vec![first];
            while requests.len() < TOGETHER_MAX
                && let Ok(next) = receiver.try_recv()
            {
                requests.push(next);
            }
            self.fulfil(requests);
        }
    }

    /// One transaction for all that comes before a wish for no table, and so on.
    fn fulfil(&mut self, requests: Vec<Request>) {
        let mut answers = vec![];
        for Request { wish, answer } in requests {
            if matches!(wish, Wish::Nothing) {
                self.settle(&mut answers);
                let shared = self.shared.clone();
                let has_ended = lock(&shared.has_ended);
                let removed = if *has_ended { Err(RulesError::Ended) } else { self.remove() };
                drop(has_ended);
                say(answer, removed);
                continue;
            }
            self.note(wish);
            answers.push(answer);
        }
        self.settle(&mut answers);
    }

    fn note(&mut self, wish: Wish) {
        // What is gone needs no table, and one that is to be gone is not missed.
        let is_asked = !matches!(wish, Wish::Removals | Wish::Again);
        if is_asked && self.standing == Standing::Unwanted {
            self.standing = Standing::Wanted;
        }
        match wish {
            Wish::Replace(State { services, pods }) => {
                self.table.clear();
                services.into_iter().for_each(|(name, ports)| self.table.set_service(name, &ports));
                pods.into_iter().for_each(|pod| self.table.set_pod(pod));
                self.standing = Standing::Wanted;
            }
            Wish::Service(name, ports) => self.table.set_service(name, &ports),
            Wish::Pods(pods) => pods.into_iter().for_each(|pod| self.table.set_pod(pod)),
            // By whom the network is removed.
            Wish::Again if *lock(&self.shared.has_ended) => {}
            Wish::Again if self.standing == Standing::InForce => {
                tracing::warn!("table inet {} was deleted by another program: it is made anew", self.name);
                self.standing = Standing::Wanted;
            }
            Wish::Removals | Wish::Again | Wish::Nothing => {}
        }
    }

    fn settle(&mut self, answers: &mut Vec<Option<oneshot::Sender<Result<(), RulesError>>>>) {
        if answers.is_empty() {
            return;
        }
        // After everything that was asked for before them.
        let removed = mem::take(&mut *lock(&self.shared.removed));
        removed.iter().for_each(|uid| self.table.remove_pod(uid));
        let shared = self.shared.clone();
        let has_ended = lock(&shared.has_ended);
        let outcome = if *has_ended { Err(RulesError::Ended) } else { self.put_in_force() };
        drop(has_ended);
        if let Err(error) = &outcome
            && !matches!(error, RulesError::Ended)
        {
            tracing::warn!("rules are not in force: {error}");
        }
        answers.drain(..).for_each(|answer| say(answer, outcome.clone()));
        let afterwards = mem::take(&mut self.afterwards);
        self.forget(&afterwards);
    }

    /// By what is different; where the kernel refuses that, because others changed the table, by making it anew.
    fn put_in_force(&mut self) -> Result<(), RulesError> {
        match self.standing {
            Standing::Unwanted => return Ok(()),
            Standing::Wanted => {}
            Standing::InForce => {
                let change = self.table.change();
                match self.commit(change.operations) {
                    Ok(()) => {
                        self.forget(&change.flows);
                        return Ok(());
                    }
                    Err(error) => tracing::warn!("the table of rules is not what it was: {error}"),
                }
                self.standing = Standing::Wanted;
            }
        }
        let everything = self.table.everything();
        let remembered = self.remembered();
        // Who is led where is worth less than that they are led somewhere.
        let made = match self.commit([everything.clone(), remembered].concat()) {
            Err(error) if !error.is_lasting() => self.commit(everything),
            made => made,
        };
        made?;
        self.standing = Standing::InForce;
        self.afterwards = match mem::replace(&mut self.claimed, Claimed::Before) {
            Claimed::Now => Flows::of_new_network(&self.table.targets(), self.table.ranges()),
            Claimed::Before => Flows::All,
        };
        Ok(())
    }

    fn commit(&mut self, operations: Vec<Operation>) -> Result<(), nftables::Error> {
        self.nftables.commit(&Transaction { table: self.name.clone(), operations })
    }

    fn remove(&mut self) -> Result<(), RulesError> {
        self.table.clear();
        self.standing = Standing::Unwanted;
        self.nftables.delete_table(&self.name)?;
        Ok(())
    }

    /// Which clients the table that is there now holds to which endpoints, as far as there will be maps for them.
    fn remembered(&mut self) -> Vec<Operation> {
        let is_there = |tables: Vec<String>| tables.contains(&self.name);
        if !self.nftables.tables().is_ok_and(is_there) {
            return vec![];
        }
        let mut operations = vec![];
        for set in self.table.affinity_maps() {
            // There is none when the Service is new.
            let mut elements = self.nftables.elements(&self.name, set).unwrap_or_default();
            elements.retain(|element| element.timeout.is_some_and(|(_, left)| !left.is_zero()));
            if !elements.is_empty() {
                operations.push(Operation::AddElements { set: set.name.clone(), elements });
            }
        }
        operations
    }

    /// A failure leaves rules in force that these connections do not follow until they end.
    fn forget(&mut self, flows: &Flows) {
        if flows.is_empty() {
            return;
        }
        let targets = self.table.targets();
        match flows.forget(&mut self.conntrack, &targets, self.table.ranges()) {
            Ok(0) => {}
            Ok(count) => tracing::debug!("forgot {count} connections to endpoints that are gone"),
            Err(error) => tracing::warn!("connections may go to endpoints that are gone: {error}"),
        }
    }
}

/// Nobody may be waiting any more.
fn say(answer: Option<oneshot::Sender<Result<(), RulesError>>>, outcome: Result<(), RulesError>) {
    if let Some(answer) = answer {
        let _ = answer.send(outcome);
    }
}
