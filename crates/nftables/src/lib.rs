//! nf_tables and connection tracking, spoken over netlink: messages, transactions and dumps. Knows no policy.
//!
//! A [`Transaction`] is a list of [`Operation`]s on one table of family `inet`; the kernel does all of them or none
//! ([`Nftables::commit`]). What a rule does is a list of [`Statement`]s; they, and everything else, print as text that
//! resembles what `nft list` shows. [`Conntrack`] lists and deletes connections.
//!
//! Nothing here starts a program. All of it needs `CAP_NET_ADMIN` in the user namespace that owns the network
//! namespace; a socket is of the network namespace in which the thread was that opened it.
//!
//! What messages look like: `linux/netfilter/nf_tables.h`, `linux/netfilter/nfnetlink_conntrack.h` and
//! <https://docs.kernel.org/netlink/specs/nftables.html>.

mod conntrack;
mod dump;
mod encode;
mod error;
mod expression;
mod field;
pub mod netlink;
mod object;
mod socket;
mod statement;
mod tables;
mod value;

pub use conntrack::{Conntrack, Flow, FlowFilter};
pub use dump::BaseChain;
pub use error::Error;
pub use field::Field;
pub use object::{Base, Chain, ChainType, Data, Datum, Element, Hook, Operation, Policy, Set, Transaction};
pub use statement::{Family, Lookup, Rule, Statement, Verdict};
pub use tables::{Nftables, TableGone};
pub use value::{Kind, Value};
