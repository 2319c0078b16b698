//! Probes and hooks of servers that a test plays: real sockets, on the loopback.

mod bed;
mod grpc;
mod http;
mod tls;
