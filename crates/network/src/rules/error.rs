//! Why rules are not in force.

use std::sync::Arc;

#[derive(Clone, Debug, thiserror::Error)]
pub enum RulesError {
    /// Said to everybody whose change was in the transaction.
    #[error(transparent)]
    Netfilter(Arc<nftables::Error>),

    #[error("cannot start the thread that changes the rules")]
    Thread(#[source] Arc<std::io::Error>),

    #[error("the rules are not followed any more: the engine is ending")]
    Ended,
}

impl RulesError {
    /// Kernel or rights lack something: to try again does not help before that is mended.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(self, Self::Netfilter(error) if error.is_lasting())
    }
}

impl From<nftables::Error> for RulesError {
    fn from(error: nftables::Error) -> Self {
        Self::Netfilter(Arc::new(error))
    }
}
