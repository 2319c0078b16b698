//! What a child's steps take, summed by what they belong to: there are dozens of them, and most take microseconds.

use linux_sys::clock;

use super::step::Step;

/// What a step belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// From before the clone until the child runs.
    Clone,
    Process,
    Cgroup,
    Namespaces,
    Root,
    Mounts,
    Pivot,
    Rights,
}

impl Part {
    pub(super) const ALL: [Self; 8] = [
        Self::Clone,
        Self::Process,
        Self::Cgroup,
        Self::Namespaces,
        Self::Root,
        Self::Mounts,
        Self::Pivot,
        Self::Rights,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Clone => "clone",
            Self::Process => "stdio and signals",
            Self::Cgroup => "join cgroup",
            Self::Namespaces => "join namespaces",
            Self::Root => "root file system",
            Self::Mounts => "mounts",
            Self::Pivot => "pivot_root",
            Self::Rights => "users and rights",
        }
    }

    pub(super) fn of(step: &Step) -> Self {
        match step {
            Step::Reset
            | Step::NewSession
            | Step::NewKeyring
            | Step::Stdio(_)
            | Step::ControllingTerminal
            | Step::OomScoreAdj(_)
            | Step::InputFromOwnNull
            | Step::EndWithParent
            | Step::CloseOnExec => Self::Process,
            Step::JoinCgroup(_) | Step::NewCgroupNamespace => Self::Cgroup,
            Step::JoinNamespaces(..)
            | Step::EnterUsers(_)
            | Step::BeRoot
            | Step::MakeFilesOf(_)
            | Step::JoinPidNamespace(_)
            | Step::Appear
            | Step::AppearFirst => Self::Namespaces,
            Step::Overlay(_) | Step::EmptyRoot | Step::OpenRoot | Step::MakeRootReadOnly => Self::Root,
            Step::Mount(_)
            | Step::MountDev(..)
            | Step::MountCgroupV1(..)
            | Step::Attach { .. }
            | Step::Bind(_)
            | Step::Console(_)
            | Step::Mask(_)
            | Step::MakeReadOnly(_)
            | Step::MakeDirectory(_) => Self::Mounts,
            Step::LeaveShared | Step::PivotRoot => Self::Pivot,
            Step::AppArmor(_)
            | Step::ResourceLimit { .. }
            | Step::Umask(_)
            | Step::ChangeDirectory(_)
            | Step::LimitBounding(_)
            | Step::SetGroups(_)
            | Step::SetGid(_)
            | Step::SetUid(_)
            | Step::SetCapabilities { .. }
            | Step::RaiseCapabilities
            | Step::NoNewPrivileges
            | Step::LoadSeccomp(_) => Self::Rights,
        }
    }
}

/// The child's account, without anything on the heap: it is kept between clone and execve.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spent {
    last_ns: i64,
    nanoseconds: [i64; Part::ALL.len()],
}

impl Spent {
    /// Nothing yet.
    pub(super) fn since(begun_ns: i64) -> Self {
        Self { last_ns: begun_ns, nanoseconds: [0; Part::ALL.len()] }
    }

    /// What has been done since the last call was this.
    pub(super) fn on(&mut self, part: Part) {
        let now_ns = clock::boot_ns();
        self.nanoseconds[part as usize] += now_ns - self.last_ns;
        self.last_ns = now_ns;
    }

    /// In whole microseconds, in the order of [`Part::ALL`].
    pub(super) fn microseconds(&self) -> [i32; Part::ALL.len()] {
        self.nanoseconds.map(|nanoseconds| i32::try_from(nanoseconds / 1_000).unwrap_or(i32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::{Part, Spent};

    #[test]
    fn parts_are_in_the_order_of_their_numbers() {
        assert!(Part::ALL.iter().enumerate().all(|(at, part)| *part as usize == at));
    }

    #[test]
    fn what_is_spent_adds_up() {
        let begun = linux_sys::clock::boot_ns();
        let mut spent = Spent::since(begun - 2_000_000);
        spent.on(Part::Clone);
        spent.on(Part::Mounts);
        spent.on(Part::Clone);
        let total: i64 = spent.nanoseconds.iter().sum();
        assert_eq!(total, spent.last_ns - (begun - 2_000_000));
        assert!(spent.microseconds()[Part::Clone as usize] >= 2_000);
    }
}
