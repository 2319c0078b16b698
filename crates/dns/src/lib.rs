//! The DNS server of the pods: names of Services and pods from a snapshot, all others from the resolvers of the machine.

mod answer;
mod cache;
mod forward;
mod message;
mod name;
mod resolvers;
mod serve;
mod server;
#[cfg(test)]
mod tests;
mod upstream;
mod zone;

pub use server::{ListenError, Listening, Running};
pub use zone::{Endpoint, LeadsTo, Port, Service, Zone};
