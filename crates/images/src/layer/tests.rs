//! Archives made for the purpose, unpacked beside things that must stay as they are.

mod archives;
mod bed;
mod packed;
mod plain;
mod settled;
