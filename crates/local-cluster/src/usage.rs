//! What pods and the machine use, read from the kernel's files when somebody asks, and never otherwise.

pub(crate) mod disk;
pub(crate) mod host;
pub(crate) mod measure;
pub(crate) mod pods;
pub(crate) mod sampler;
