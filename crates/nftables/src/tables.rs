//! Tables: changed in transactions, read, and watched.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;

use crate::encode::{Batch, NFNL_SUBSYS_NFTABLES, NFPROTO_INET, NFT_MSG_DELTABLE};
use crate::error::Error;
use crate::netlink::messages;
use crate::object::{Chain, Operation, Transaction};
use crate::socket::{Socket, attributes_of, family_of};

/// A socket to the tables of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Nftables {
    pub(crate) socket: Socket,
}

impl Nftables {
    /// # Errors
    /// When the kernel has no netfilter netlink.
    pub fn open() -> Result<Self, Error> {
        let socket = Socket::open(0).map_err(|source| Error::Socket { source })?;
        Ok(Self { socket })
    }

    /// Does all of it at once, or nothing. It is in force on return.
    ///
    /// # Errors
    /// The first operation that the kernel refuses, and why; nothing has been changed then.
    pub fn commit(&mut self, transaction: &Transaction) -> Result<(), Error> {
        if transaction.operations.is_empty() {
            return Ok(());
        }
        let batch = Batch::new(transaction, self.socket.sequence());
        let refused = |sequence: Option<u32>, source| {
            let operation = sequence.and_then(|sequence| batch.operation(sequence));
            refusal(transaction, operation, source)
        };
        self.socket.send(&batch.bytes, batch.next()).map_err(|source| refused(None, source))?;
        match self.outcome(&batch).map_err(|source| refused(None, source))? {
            Outcome::Done => Ok(()),
            Outcome::Refused { sequence, source } => Err(refused(Some(sequence), source)),
            Outcome::Unacknowledged => Err(Error::Unacknowledged { table: transaction.table.clone() }),
        }
    }

    /// Deletes a table of family `inet`, whoever made it; `false`: there was none.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn delete_table(&mut self, table: &str) -> Result<bool, Error> {
        let transaction = Transaction { table: table.to_owned(), operations: vec![Operation::DeleteTable] };
        match self.commit(&transaction) {
            Ok(()) => Ok(true),
            Err(Error::Refused { source: Errno::NOENT, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the kernel calls this socket in notifications of what it did.
    #[must_use]
    pub fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Reads every answer to a batch.
    fn outcome(&self, batch: &Batch) -> rustix::io::Result<Outcome> {
        let mut outcome = Outcome::Unacknowledged;
        let mut buffer = vec![];
        while let Some(bytes) = self.socket.received(&mut buffer)? {
            // Answers to an earlier batch may have been left when there were too many.
            for message in messages(bytes).filter(|message| batch.owns(message.sequence)) {
                match (message.outcome(), &outcome) {
                    // The first error is what the others followed from.
                    (None, _) | (Some(_), Outcome::Refused { .. }) => {}
                    (Some(Ok(())), _) if message.sequence == batch.last => outcome = Outcome::Done,
                    (Some(Ok(())), _) => {}
                    (Some(Err(source)), _) => {
                        outcome = Outcome::Refused { sequence: message.sequence, source };
                    }
                }
            }
        }
        Ok(outcome)
    }
}

enum Outcome {
    Done,
    Refused { sequence: u32, source: Errno },
    Unacknowledged,
}

fn refusal(transaction: &Transaction, operation: Option<usize>, source: Errno) -> Error {
    let operation = operation.and_then(|index| transaction.operations.get(index));
    Error::Refused {
        table: transaction.table.clone(),
        operation: operation.map_or_else(|| "the transaction as a whole".to_owned(), shortened),
        source,
        needs: operation.map_or_else(|| NF_TABLES.to_owned(), needs),
    }
}

/// A list of elements may be very long.
fn shortened(operation: &Operation) -> String {
    const CHARACTERS_MAX: usize = 400;
    let mut text = operation.to_string();
    if let Some((end, _)) = text.char_indices().nth(CHARACTERS_MAX) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

const NF_TABLES: &str = "nf_tables (modprobe nf_tables)";

/// What of the kernel the operation depends on.
fn needs(operation: &Operation) -> String {
    match operation {
        Operation::AddTable => {
            "nf_tables for family inet (modprobe nf_tables; CONFIG_NF_TABLES_INET)".to_owned()
        }
        Operation::AddChain(Chain { base: Some(base), .. }) => {
            let name = base.chain_type.name();
            format!("chains of type {name} (modprobe nft_chain_{name})")
        }
        Operation::AddRule { rule, .. } => {
            let mut modules: Vec<&str> = rule.0.iter().filter_map(|statement| statement.module()).collect();
            modules.dedup();
            match modules[..] {
                [] => String::new(),
                _ => format!("{0} (modprobe -a {0})", modules.join(" ")),
            }
        }
        _ => String::new(),
    }
}

/// Tells when somebody else deletes a table.
#[derive(Debug)]
pub struct TableGone {
    socket: Socket,
    /// To look for itself when notifications were lost.
    reader: Nftables,
    table: String,
}

impl TableGone {
    /// # Errors
    /// When the kernel has no netfilter netlink.
    pub fn watch(table: String) -> Result<Self, Error> {
        /// `NFNLGRP_NFTABLES` is the seventh group.
        const NFTABLES_GROUP: u32 = 1 << 6;
        let socket = Socket::open(NFTABLES_GROUP).map_err(|source| Error::Socket { source })?;
        Ok(Self { socket, reader: Nftables::open()?, table })
    }

    /// Whether it was deleted, by another than the socket `own`, since this was asked last. Does not wait: the
    /// descriptor is readable when there may be something to say. When notifications were lost, as in large
    /// transactions of anybody, what counts is whether the table is there.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn is_gone(&mut self, own: u32) -> Result<bool, Error> {
        const DELETED: u16 = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE;
        const NAME: u16 = 1;
        let (mut is_gone, mut were_lost) = (false, false);
        let mut buffer = vec![];
        loop {
            let bytes = match self.socket.received(&mut buffer) {
                Ok(Some(bytes)) => bytes,
                Ok(None) if were_lost && !is_gone => return Ok(!self.reader.tables()?.contains(&self.table)),
                Ok(None) => return Ok(is_gone),
                Err(Errno::NOBUFS) => {
                    were_lost = true;
                    continue;
                }
                Err(source) => return Err(Error::Read { what: "read what happens to the tables", source }),
            };
            is_gone |= messages(bytes).any(|message| {
                message.kind == DELETED
                    && message.port != own
                    && family_of(&message) == NFPROTO_INET
                    && attributes_of(&message).text(NAME) == Some(&self.table)
            });
        }
    }
}

impl AsFd for TableGone {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
