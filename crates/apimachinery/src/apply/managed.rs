//! `metadata.managedFields`: who owns what.

use std::collections::BTreeMap;
use std::fmt;

use podspec::WallTime;
use podspec::field::quote;
use podspec::json::text;
use serde_json::{Map, Value};

use super::set::FieldSet;

/// Entries of updates that are kept apart; of more than these, the oldest are merged.
const UPDATERS_MAX: usize = 10;

/// Whom the oldest updates belong to once they are merged.
const OLD_UPDATES: &str = "ancient-changes";

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// Who owns fields, and by which kind of write.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Manager {
    pub(super) name: String,
    pub(super) operation: Operation,
    /// Of updates: each version of the API is a manager of its own. Empty for applies.
    version: String,
    subresource: String,
}

impl Manager {
    pub(super) fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        let version = if operation == Operation::Update { api_version } else { "" };
        let name = if name.is_empty() { "unknown" } else { name };
        Self {
            name: name.to_owned(),
            operation,
            version: version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }
}

impl fmt::Display for Manager {
    /// As conflicts name it: `"kubectl-edit" using v1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote(&self.name))?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {}", quote(&self.subresource))?;
        }
        match self.operation {
            Operation::Apply => Ok(()),
            Operation::Update => write!(f, " using {}", self.version),
        }
    }
}

/// What one manager owns.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Entry {
    pub(super) api_version: String,
    pub(super) fields: FieldSet,
    /// As it was written; others' forms are kept.
    pub(super) time: Option<String>,
}

impl Entry {
    fn seconds(&self) -> i64 {
        let time = self.time.as_deref().and_then(|time| WallTime::parse(time.as_bytes()));
        time.map_or(0, |time| time.0.div_euclid(1_000_000_000))
    }
}

/// Every manager of an object.
#[derive(Clone, PartialEq, Default, Debug)]
pub(super) struct Managers(pub(super) BTreeMap<Manager, Entry>);

impl Managers {
    /// Reads `managedFields`.
    pub(super) fn decode(entries: &Value) -> Result<Self, String> {
        let mut managers = BTreeMap::new();
        for (index, entry) in entries.as_array().into_iter().flatten().enumerate() {
            let wrong = |what: &str| format!("managedFields[{index}]: {what}");
            let operation = match text(entry, "operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err(wrong("operation must be `Apply` or `Update`")),
            };
            let api_version = text(entry, "apiVersion");
            if api_version.is_empty() {
                return Err(wrong("apiVersion must not be empty"));
            }
            if text(entry, "fieldsType") != "FieldsV1" {
                return Err(wrong("fieldsType must be FieldsV1"));
            }
            let name =
                Manager::new(text(entry, "manager"), operation, api_version, text(entry, "subresource"));
            let fields = FieldSet::decode(&entry["fieldsV1"]).map_err(|e| wrong(&e))?;
            let time = entry["time"].as_str().map(str::to_owned);
            managers.insert(name, Entry { api_version: api_version.to_owned(), fields, time });
        }
        Ok(Self(managers))
    }

    /// In Kubernetes' order: applies first, then by time.
    pub(super) fn encode(&self) -> Value {
        let mut entries: Vec<(&Manager, &Entry)> = self.0.iter().collect();
        entries.sort_by(|(a, a_entry), (b, b_entry)| {
            let key = |manager: &Manager, entry: &Entry| (manager.operation, entry.seconds());
            key(a, a_entry).cmp(&key(b, b_entry)).then_with(|| {
                let key = |manager: &'_ Manager, entry: &'_ Entry| {
                    (manager.name.clone(), entry.api_version.clone(), manager.subresource.clone())
                };
                key(a, a_entry).cmp(&key(b, b_entry))
            })
        });
        entries.into_iter().map(|(manager, entry)| encode(manager, entry)).collect()
    }

    /// Forgets managers that own nothing.
    pub(super) fn drop_empty(&mut self) {
        self.0.retain(|_, entry| !entry.fields.is_empty());
    }

    /// Merges the oldest updates, each version of the API by itself, until few enough are left.
    pub(super) fn cap_updaters(&mut self) {
        let is_update = |manager: &Manager| manager.operation == Operation::Update;
        let updaters = self.0.iter().filter(|(manager, _)| is_update(manager));
        let mut updaters: Vec<(i64, Manager)> =
            updaters.map(|(manager, entry)| (entry.seconds(), manager.clone())).collect();
        updaters.sort();
        let mut count = updaters.len();
        let mut first_of: BTreeMap<String, Manager> = BTreeMap::new();
        for (_, manager) in updaters {
            if count <= UPDATERS_MAX {
                return;
            }
            let Some(first) = first_of.get(&manager.version) else {
                first_of.insert(manager.version.clone(), manager);
                continue;
            };
            let bucket = Manager::new(OLD_UPDATES, Operation::Update, &manager.version, "");
            if !self.0.contains_key(&bucket)
                && let Some(entry) = self.0.remove(first)
            {
                self.0.insert(bucket.clone(), entry);
            }
            if manager == bucket {
                continue;
            }
            if let Some(merged) = self.0.remove(&manager)
                && let Some(entry) = self.0.get_mut(&bucket)
            {
                entry.fields = std::mem::take(&mut entry.fields).union(&merged.fields);
                // The later of the two.
                entry.time = merged.time;
                count -= 1;
            }
        }
    }
}

fn encode(manager: &Manager, entry: &Entry) -> Value {
    let operation = match manager.operation {
        Operation::Apply => "Apply",
        Operation::Update => "Update",
    };
    let mut json = Map::new();
    let mut set = |name: &str, value: Value| drop(json.insert(name.to_owned(), value));
    set("manager", manager.name.as_str().into());
    set("operation", operation.into());
    set("apiVersion", entry.api_version.as_str().into());
    set("fieldsType", "FieldsV1".into());
    set("fieldsV1", entry.fields.encode());
    if let Some(time) = &entry.time {
        set("time", time.as_str().into());
    }
    if !manager.subresource.is_empty() {
        set("subresource", manager.subresource.as_str().into());
    }
    Value::Object(json)
}
