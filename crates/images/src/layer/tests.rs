//! Archives made for the purpose, unpacked beside things that must stay as they are.

mod absurd;
mod archives;
mod attacks;
mod bed;
mod kept;
mod packed;
mod plain;
mod random;
mod recipes;
mod settled;
