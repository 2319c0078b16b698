//! What is there.

use std::time::Duration;

use crate::encode::{NFNL_SUBSYS_NFTABLES, NFPROTO_INET};
use crate::error::Error;
use crate::netlink::{Attributes, Writer};
use crate::object::{Data, Datum, Element, Hook, Set};
use crate::socket::{DUMP_TRIES_MAX, Dump, Socket, attributes_of, family_of};
use crate::tables::Nftables;
use crate::value::separate;

/// Every family.
const UNSPECIFIED: u8 = 0;

const NFT_MSG_GETTABLE: u16 = 1;
const NFT_MSG_GETCHAIN: u16 = 4;
const NFT_MSG_GETRULE: u16 = 7;
const NFT_MSG_GETSETELEM: u16 = 13;

/// Where packets come into a table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BaseChain {
    /// `ip`, `ip6`, `inet` or another.
    pub family: String,
    pub table: String,
    pub chain: String,
    pub hook: Hook,
    /// What no rule before decided is dropped or rejected: by the policy, or by a rule without a condition.
    pub refuses: bool,
}

impl Nftables {
    /// The names of all tables of family `inet`.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn tables(&mut self) -> Result<Vec<String>, Error> {
        const NAME: u16 = 1;
        self.list(
            "list the tables",
            NFT_MSG_GETTABLE,
            NFPROTO_INET,
            |_| {},
            |_, attributes| attributes.text(NAME).map(str::to_owned),
        )
    }

    /// The base chains of every table that sees packets of IPv4 or IPv6, with what becomes of those that it does not accept.
    /// Tables of `iptables-legacy` are not among them: these are not nf_tables'.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn base_chains(&mut self) -> Result<Vec<BaseChain>, Error> {
        let mut chains = self.list("list the chains", NFT_MSG_GETCHAIN, UNSPECIFIED, |_| {}, base_chain)?;
        for (family, chain) in &mut chains {
            chain.refuses |= self.ends_in_refusal(*family, &chain.table, &chain.chain)?;
        }
        Ok(chains.into_iter().map(|(_, chain)| chain).collect())
    }

    /// The table and the name of every chain, whatever sees it.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn chain_names(&mut self) -> Result<Vec<(String, String)>, Error> {
        const TABLE: u16 = 1;
        const NAME: u16 = 3;
        let read = |_: u8, attributes: Attributes<'_>| {
            Some((attributes.text(TABLE)?.to_owned(), attributes.text(NAME)?.to_owned()))
        };
        self.list("list the chains", NFT_MSG_GETCHAIN, UNSPECIFIED, |_| {}, read)
    }

    /// What rules have put in a map.
    ///
    /// # Errors
    /// When the kernel does not tell, also because there is no such map.
    pub fn elements(&mut self, table: &str, set: &Set) -> Result<Vec<Element>, Error> {
        const TABLE: u16 = 1;
        const SET: u16 = 2;
        let request = |writer: &mut Writer| {
            writer.text(TABLE, table);
            writer.text(SET, &set.name);
        };
        let read = |_: u8, attributes: Attributes<'_>| Some(elements(attributes, set));
        let messages = self.list("list a map", NFT_MSG_GETSETELEM, NFPROTO_INET, request, read)?;
        Ok(messages.into_iter().flatten().collect())
    }

    fn ends_in_refusal(&mut self, family: u8, table: &str, chain: &str) -> Result<bool, Error> {
        const TABLE: u16 = 1;
        const CHAIN: u16 = 2;
        const EXPRESSIONS: u16 = 4;
        let request = |writer: &mut Writer| {
            writer.text(TABLE, table);
            writer.text(CHAIN, chain);
        };
        let read = |_: u8, attributes: Attributes<'_>| {
            // A kernel that does not filter by chain sends the rules of others, too.
            let is_its = attributes.text(TABLE) == Some(table) && attributes.text(CHAIN) == Some(chain);
            (is_its).then(|| refuses_all(attributes.nested(EXPRESSIONS)))
        };
        let rules = self.list("list the rules", NFT_MSG_GETRULE, family, request, read)?;
        Ok(rules.contains(&true))
    }

    fn list<T>(
        &mut self,
        what: &'static str,
        message: u16,
        family: u8,
        request: impl Fn(&mut Writer),
        read: impl Fn(u8, Attributes<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let kind = NFNL_SUBSYS_NFTABLES << 8 | message;
        complete(&mut self.socket, what, kind, family, request, read)
    }
}

/// A whole list.
pub(crate) fn complete<T>(
    socket: &mut Socket,
    what: &'static str,
    kind: u16,
    family: u8,
    request: impl Fn(&mut Writer),
    read: impl Fn(u8, Attributes<'_>) -> Option<T>,
) -> Result<Vec<T>, Error> {
    let listed =
        socket.dump(kind, family, request, |message| read(family_of(message), attributes_of(message)));
    match listed.map_err(|source| Error::Read { what, source })? {
        (found, Dump::Complete) => Ok(found),
        (_, Dump::Unsteady) => Err(Error::Unsteady { what, tries: DUMP_TRIES_MAX }),
    }
}

fn base_chain(family: u8, attributes: Attributes<'_>) -> Option<(u8, BaseChain)> {
    const TABLE: u16 = 1;
    const NAME: u16 = 3;
    const HOOK: u16 = 4;
    const POLICY: u16 = 5;
    const DROP: u32 = 0;
    let number = attributes.nested(HOOK).u32(1)?;
    let chain = BaseChain {
        family: family_name(family)?.to_owned(),
        table: attributes.text(TABLE)?.to_owned(),
        chain: attributes.text(NAME)?.to_owned(),
        hook: Hook::ALL.into_iter().find(|hook| hook.number() == number)?,
        refuses: attributes.u32(POLICY) == Some(DROP),
    };
    Some((family, chain))
}

/// Only the families whose hooks are those of the internet protocols.
fn family_name(family: u8) -> Option<&'static str> {
    match family {
        1 => Some("inet"),
        2 => Some("ip"),
        10 => Some("ip6"),
        _ => None,
    }
}

/// Whether a rule drops or rejects whatever comes to it: it has an end, and nothing before that is a condition.
fn refuses_all(expressions: Attributes<'_>) -> bool {
    for (_, expression) in expressions {
        let expression = Attributes::from(expression);
        let data = expression.nested(2);
        match expression.text(1) {
            Some("counter" | "log") => {}
            Some("reject") => return true,
            Some("immediate") => return is_drop(data),
            Some("target") => return data.text(1) == Some("REJECT"),
            _ => return false,
        }
    }
    false
}

fn is_drop(immediate: Attributes<'_>) -> bool {
    const DATA: u16 = 2;
    const VERDICT: u16 = 2;
    const CODE: u16 = 1;
    const DROP: u32 = 0;
    immediate.nested(DATA).nested(VERDICT).u32(CODE) == Some(DROP)
}

fn elements(attributes: Attributes<'_>, set: &Set) -> Vec<Element> {
    const ELEMENTS: u16 = 3;
    let found = attributes.nested(ELEMENTS);
    found.filter_map(|(_, element)| found_element(element.into(), set)).collect()
}

fn found_element(attributes: Attributes<'_>, set: &Set) -> Option<Element> {
    const KEY: u16 = 1;
    const DATA: u16 = 2;
    const TIMEOUT: u16 = 4;
    const EXPIRATION: u16 = 5;
    const VALUE: u16 = 1;
    let Data::Values(kinds) = &set.data else { return None };
    let key = separate(&set.key, attributes.nested(KEY).value(VALUE)?)?;
    let values = separate(kinds, attributes.nested(DATA).value(VALUE)?)?;
    let timeout = Duration::from_millis(attributes.u64(TIMEOUT)?);
    let expires = Duration::from_millis(attributes.u64(EXPIRATION)?);
    Some(Element { key, datum: Datum::Values(values), timeout: Some((timeout, expires)) })
}
