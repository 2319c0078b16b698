//! All that is known of one pod, in one piece: what explanations, timelines and replays are made from.

use core::net::IpAddr;
use std::collections::BTreeMap;

use lifecycle::Observed;
use podspec::{ContainerName, Moment, Pod};
use serde::{Deserialize, Serialize};

use crate::entry::Entry;

/// A pod's record: from its engine, from the directory of a pod whose engine died, or from what is kept of one that is gone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// As it is in force.
    pub pod: Pod,
    /// As of `now`.
    pub observed: Observed,
    /// Oldest first; the first ones may be gone.
    pub entries: Vec<Entry>,
    /// When this was put together, on the clocks of the pod's machine. For a pod that is gone: when it went.
    pub now: Moment,
    /// What only an engine can see now; `None` where none answered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub live: Option<Live>,
    /// The last lines of containers' logs, where they were to be had.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub logs: BTreeMap<ContainerName, Vec<LogTail>>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Live {
    /// Who listens in the pod's network namespace.
    pub listeners: Vec<Listener>,
}

/// A socket that takes connections, or datagrams.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listener {
    pub protocol: podspec::PortProtocol,
    /// `0.0.0.0` or `::` for all of the pod's.
    pub address: IpAddr,
    pub port: u16,
    /// Whose process that is, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub container: Option<ContainerName>,
}

/// The end of one attempt's log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogTail {
    pub attempt: u32,
    /// Without times and newlines, each cut at a bound.
    pub lines: Vec<String>,
}
