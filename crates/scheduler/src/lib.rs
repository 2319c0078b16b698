//! Which node a pending pod goes to, or why none.
