//! The per-pod supervisor: spawns containers, owns their logs, records their exits.

pub mod container;
