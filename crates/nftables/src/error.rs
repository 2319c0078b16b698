//! What can go wrong, and what to do about it.

use rustix::io::Errno;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel does not know netfilter's netlink, or this process may not use it.
    #[error("cannot open a netlink socket of netfilter{}", remedy(*source, "the module nfnetlink (modprobe nfnetlink)"))]
    Socket { source: Errno },

    #[error("cannot {what}{}", remedy(*source, "nf_tables (modprobe nf_tables)"))]
    Read { what: &'static str, source: Errno },

    /// The list changed each time it was read.
    #[error(
        "cannot {what}: it changed {tries} times while it was read; something rewrites the rules all the time"
    )]
    Unsteady { what: &'static str, tries: u32 },

    /// Nothing of the transaction has been done.
    #[error("cannot change table inet {table}: {operation}{}", remedy(*source, needs))]
    Refused { table: String, operation: String, source: Errno, needs: String },

    /// Not known to have been done: the kernel said neither yes nor no.
    #[error("the kernel did not acknowledge a change of table inet {table}")]
    Unacknowledged { table: String },

    #[error("cannot delete the connection {flow}")]
    Connection { flow: String, source: Errno },
}

impl Error {
    /// The kernel lacks something, or rights are missing: what a repetition does not mend.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        self.is_unsupported()
            || self.errno().is_some_and(|errno| matches!(errno, Errno::PERM | Errno::ACCESS))
    }

    /// The kernel has no nf_tables, or lacks a part of it.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.errno().is_some_and(is_unsupported)
    }

    fn errno(&self) -> Option<Errno> {
        match self {
            Self::Socket { source }
            | Self::Read { source, .. }
            | Self::Refused { source, .. }
            | Self::Connection { source, .. } => Some(*source),
            Self::Unsteady { .. } | Self::Unacknowledged { .. } => None,
        }
    }
}

fn is_unsupported(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::OPNOTSUPP | Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::NOSYS | Errno::PROTOTYPE
    )
}

/// What to do about it, after what failed.
fn remedy(errno: Errno, needs: &str) -> String {
    match errno {
        Errno::PERM | Errno::ACCESS => ": it needs CAP_NET_ADMIN".to_owned(),
        // A kind of expression that the kernel does not have is not found, too.
        _ if (is_unsupported(errno) || errno == Errno::NOENT) && !needs.is_empty() => {
            format!(": the kernel may lack {needs}")
        }
        Errno::MSGSIZE | Errno::NOBUFS => ": it is too large for the socket's buffer".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::Error;

    #[test]
    fn says_what_the_kernel_lacks() {
        let refused = |source, needs: &str| Error::Refused {
            table: "t".to_owned(),
            operation: "add rule a".to_owned(),
            source,
            needs: needs.to_owned(),
        };
        let cases = [
            (
                refused(Errno::NOENT, "nft_fib_inet"),
                "cannot change table inet t: add rule a: the kernel may lack nft_fib_inet",
                false,
            ),
            (refused(Errno::NOENT, ""), "cannot change table inet t: add rule a", false),
            (
                refused(Errno::PERM, "x"),
                "cannot change table inet t: add rule a: it needs CAP_NET_ADMIN",
                true,
            ),
            (
                refused(Errno::OPNOTSUPP, "nf_tables"),
                "cannot change table inet t: add rule a: the kernel may lack nf_tables",
                true,
            ),
            (
                Error::Socket { source: Errno::PROTONOSUPPORT },
                "cannot open a netlink socket of netfilter: the kernel may lack the module nfnetlink (modprobe nfnetlink)",
                true,
            ),
        ];
        for (error, text, is_lasting) in cases {
            assert_eq!(error.to_string(), text);
            assert_eq!(error.is_lasting(), is_lasting, "{text}");
        }
    }
}
