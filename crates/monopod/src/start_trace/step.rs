//! What was done when, as a tree.

/// Nanoseconds on the boot clock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) name: String,
    /// The container.
    pub(super) of: Option<String>,
    pub(super) began_ns: i64,
    pub(super) ended_ns: i64,
    /// Within it.
    pub(super) steps: Vec<Step>,
}

impl Step {
    pub(super) fn took_ns(&self) -> i64 {
        self.ended_ns.saturating_sub(self.began_ns)
    }
}

/// How much of the time from `began_ns` to `ended_ns` none of the steps was under way.
pub(super) fn between_ns(steps: &[Step], began_ns: i64, ended_ns: i64) -> i64 {
    let mut steps: Vec<(i64, i64)> = steps.iter().map(|step| (step.began_ns, step.ended_ns)).collect();
    steps.sort_unstable();
    let mut reached = began_ns;
    let mut between = 0;
    for (began, ended) in steps {
        between += (began.min(ended_ns) - reached).max(0);
        reached = reached.max(ended);
    }
    between + (ended_ns - reached).max(0)
}

#[cfg(test)]
mod tests {
    use super::{Step, between_ns};

    fn step(began_ns: i64, ended_ns: i64) -> Step {
        Step { name: String::new(), of: None, began_ns, ended_ns, steps: Vec::new() }
    }

    #[test]
    fn what_is_in_no_step_is_between_them() {
        assert_eq!(between_ns(&[], 2, 9), 7);
        assert_eq!(between_ns(&[step(0, 4), step(2, 5), step(7, 9)], 0, 10), 3);
        assert_eq!(between_ns(&[step(3, 20), step(1, 2)], 0, 10), 2);
    }
}
