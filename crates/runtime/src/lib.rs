//! Pod sandboxes and containers: starts and adopts shims, speaks to them.
