//! The only crate with unsafe: processes, namespaces, mounts, cgroups, capabilities, seccomp.
