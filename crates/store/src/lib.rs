//! Objects with one resourceVersion, watches and durable writes.
