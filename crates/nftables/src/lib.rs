//! nf_tables and connection tracking, spoken over netlink: messages, transactions and dumps. Knows no policy.
