//! The kubelet on a node in memory, and what it shows of pods.

mod columns;
mod events;
mod fakes;
mod render;
mod replay;
mod worker;
