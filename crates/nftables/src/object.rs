//! What a table consists of, and what can be done to it.

use std::fmt;
use std::time::Duration;

use crate::statement::{Rule, Verdict};
use crate::value::{Kind, Value, joined};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    pub name: String,
    /// Where packets come in; `None` for one that is only jumped to.
    pub base: Option<Base>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Base {
    pub chain_type: ChainType,
    pub hook: Hook,
    pub priority: i32,
    /// What becomes of a packet at the end of the chain.
    pub policy: Policy,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChainType {
    Filter,
    Nat,
}

/// `NF_INET_*`
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Hook {
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    Accept,
    Drop,
}

/// A set, or, with data, a map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set {
    pub name: String,
    pub key: Vec<Kind>,
    pub data: Data,
    /// Rules put elements in, which time out: at most so many.
    pub remembers: Option<u32>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Data {
    Nothing,
    Verdict,
    Values(Vec<Kind>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Element {
    pub key: Vec<Value>,
    pub datum: Datum,
    /// Of an element that times out: after what time without use, and what is left of it.
    pub timeout: Option<(Duration, Duration)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Datum {
    Nothing,
    Verdict(Verdict),
    Values(Vec<Value>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Makes it if it is not there.
    AddTable,
    /// With everything in it.
    DeleteTable,
    AddChain(Chain),
    /// Removes all of its rules.
    FlushChain(String),
    /// It has to be empty, and nothing may lead to it.
    DeleteChain(String),
    /// At the end of the chain.
    AddRule {
        chain: String,
        rule: Rule,
    },
    AddSet(Set),
    DeleteSet(String),
    /// None of them may be there with other data.
    AddElements {
        set: String,
        elements: Vec<Element>,
    },
    /// All of them have to be there.
    DeleteElements {
        set: String,
        elements: Vec<Element>,
    },
}

/// What the kernel is to do to one table of family `inet`, all of it or nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    pub table: String,
    pub operations: Vec<Operation>,
}

impl ChainType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
        }
    }
}

impl Hook {
    pub(crate) const ALL: [Self; 5] =
        [Self::Prerouting, Self::Input, Self::Forward, Self::Output, Self::Postrouting];

    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Prerouting => 0,
            Self::Input => 1,
            Self::Forward => 2,
            Self::Output => 3,
            Self::Postrouting => 4,
        }
    }
}

impl Policy {
    /// `NF_*`
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Drop => 0,
            Self::Accept => 1,
        }
    }
}

impl Element {
    /// An element of a set.
    #[must_use]
    pub fn new(key: Vec<Value>) -> Self {
        Self { key, datum: Datum::Nothing, timeout: None }
    }

    /// An element of a verdict map.
    #[must_use]
    pub fn verdict(key: Vec<Value>, verdict: Verdict) -> Self {
        Self { datum: Datum::Verdict(verdict), ..Self::new(key) }
    }

    /// An element of a map.
    #[must_use]
    pub fn values(key: Vec<Value>, values: Vec<Value>) -> Self {
        Self { datum: Datum::Values(values), ..Self::new(key) }
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {}", self.table)?;
        self.operations.iter().try_for_each(|operation| writeln!(f, "{operation}"))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddTable => f.write_str("add table"),
            Self::DeleteTable => f.write_str("delete table"),
            Self::AddChain(chain) => write!(f, "add chain {chain}"),
            Self::FlushChain(name) => write!(f, "flush chain {name}"),
            Self::DeleteChain(name) => write!(f, "delete chain {name}"),
            Self::AddRule { chain, rule } => write!(f, "add rule {chain} {rule}"),
            Self::AddSet(set) => write!(f, "add {set}"),
            Self::DeleteSet(name) => write!(f, "delete set {name}"),
            Self::AddElements { set, elements } => write!(f, "add element {set} {{ {} }}", list(elements)),
            Self::DeleteElements { set, elements } => {
                write!(f, "delete element {set} {{ {} }}", list(elements))
            }
        }
    }
}

fn list(elements: &[Element]) -> String {
    elements.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        let Some(Base { chain_type, hook, priority, policy }) = self.base else { return Ok(()) };
        let kind = chain_type.name();
        let policy = match policy {
            Policy::Accept => "accept",
            Policy::Drop => "drop",
        };
        write!(f, " {{ type {kind} hook {hook} priority {priority}; policy {policy}; }}")
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        })
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, data) = match &self.data {
            Data::Nothing => ("set", String::new()),
            Data::Verdict => ("map", " : verdict".to_owned()),
            Data::Values(kinds) => ("map", format!(" : {}", joined(kinds))),
        };
        write!(f, "{what} {} {{ type {}{data};", self.name, joined(&self.key))?;
        if let Some(size) = self.remembers {
            write!(f, " size {size}; flags dynamic,timeout;")?;
        }
        f.write_str(" }")
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&joined(&self.key))?;
        if let Some((timeout, left)) = self.timeout {
            write!(f, " timeout {}s expires {}s", timeout.as_secs(), left.as_secs())?;
        }
        match &self.datum {
            Datum::Nothing => Ok(()),
            Datum::Verdict(verdict) => write!(f, " : {verdict}"),
            Datum::Values(values) => write!(f, " : {}", joined(values)),
        }
    }
}
