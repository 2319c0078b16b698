//! Rules on the kernel of this machine, with real sockets, in network namespaces of each test's own. Needs root and the
//! tools `ip` and `nft`, which the product itself does without.

mod bed;
mod cost;
mod guard;
mod policies;
mod ports;
mod services;
