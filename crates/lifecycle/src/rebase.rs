//! Bringing times of an earlier boot onto the boot clock of now.
//!
//! The boot clock begins anew with every boot, so what was written down before one would lie in the future.
//! The wall clock says how long ago it was; but it may have been set, or have begun anew too, so nothing that
//! has come to pass is taken to be later than now. All times move together: what lies between them stays.

use std::time::Duration;

use podspec::{BootTime, Moment};

use crate::observed::{
    Attempt, AttemptState, Backoff, ContainerObserved, ContainerRecord, Deletion, Eviction, Exit, Finished,
    HookState, Observed, ProbeState, PullState, ResizeState, SandboxState, StartError, Superseded,
    VolumesState,
};

impl Observed {
    /// To be called before anything is observed on a new boot.
    pub fn rebase(&mut self, now: Moment) {
        rebase(self, now);
    }
}

impl ContainerRecord {
    /// For a record of an earlier boot.
    pub fn rebase(&mut self, now: Moment) {
        rebase(self, now);
    }
}

fn rebase(times: &mut impl Times, now: Moment) {
    let mut newest = None;
    times.visit(&mut |time| {
        if let Time::Past(moment) = time {
            newest = newest.max(Some((moment.boot, moment.wall)));
        }
    });
    let Some((boot, wall)) = newest else { return };
    let ago = Duration::from_nanos(u64::try_from(now.wall.0.saturating_sub(wall.0)).unwrap_or(0));
    let ago = i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX);
    let shift = now.boot.0.saturating_sub(ago).saturating_sub(boot.0);
    let moved = |time: BootTime| BootTime(time.0.saturating_add(shift));
    times.visit(&mut |time| match time {
        Time::Past(moment) => moment.boot = moved(moment.boot),
        Time::Boot(time) => *time = moved(*time),
    });
}

enum Time<'a> {
    /// It has come to pass.
    Past(&'a mut Moment),
    Boot(&'a mut BootTime),
}

/// Every field is named in each, so that a new one is not forgotten.
trait Times {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>));
}

impl Times for Moment {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        with(Time::Past(self));
    }
}

impl Times for BootTime {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        with(Time::Boot(self));
    }
}

impl<T: Times> Times for Option<T> {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        if let Some(times) = self {
            times.visit(with);
        }
    }
}

impl<T: Times> Times for Box<T> {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        (**self).visit(with);
    }
}

impl Times for Observed {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self {
            accepted,
            resumed,
            active_deadline: _,
            deadline,
            deletion,
            eviction,
            rejected: _,
            backoff_limits: _,
            gates: _,
            volumes,
            sandbox,
            run: _,
            initialized: _,
            was_initialized: _,
            conditions,
            containers,
            pulls,
            garbage: _,
            removing: _,
            finished,
        } = self;
        accepted.visit(with);
        resumed.visit(with);
        if let Some(deadline) = deadline {
            with(Time::Boot(&mut deadline.boot));
        }
        deletion.visit(with);
        eviction.visit(with);
        volumes.visit(with);
        sandbox.visit(with);
        conditions.values_mut().for_each(|condition| condition.since.visit(with));
        containers.values_mut().for_each(|container| container.visit(with));
        pulls.values_mut().for_each(|pull| pull.visit(with));
        finished.visit(with);
    }
}

impl Times for Deletion {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self { requested, kill_at, grace: _ } = self;
        requested.visit(with);
        kill_at.visit(with);
    }
}

impl Times for Eviction {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self { at, message: _ } = self;
        at.visit(with);
    }
}

impl Times for Finished {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self { at, succeeded: _, reason: _, message: _ } = self;
        at.visit(with);
    }
}

impl Times for VolumesState {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        match self {
            Self::Failed { at, message: _, delay: _ } => at.visit(with),
            Self::Absent | Self::SettingUp | Self::Ready | Self::TearingDown | Self::Removed => {}
        }
    }
}

impl Times for SandboxState {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        match self {
            Self::Ready { since: at, attempt: _, ips: _ }
            | Self::CreateFailed { at, attempt: _, message: _, delay: _ }
            | Self::Lost { at, attempt: _ }
            | Self::Stopped { at, attempt: _ } => at.visit(with),
            Self::Absent | Self::Creating { attempt: _ } | Self::Stopping { attempt: _ } => {}
        }
    }
}

impl Times for ContainerObserved {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self {
            image_id: _,
            repo_digest: _,
            volume_images: _,
            current,
            previous,
            outgoing,
            start_error,
            backoff,
        } = self;
        current.visit(with);
        previous.visit(with);
        outgoing.visit(with);
        start_error.visit(with);
        backoff.visit(with);
    }
}

impl Times for Attempt {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self {
            number: _,
            run: _,
            sandbox: _,
            id: _,
            image_id: _,
            image: _,
            repo_digest: _,
            volume_images: _,
            user: _,
            resources: _,
            of_pod: _,
            state,
            startup,
            liveness,
            readiness,
            superseded,
            resize,
            post_start,
            pre_stop,
            stop_signal_sent,
            kill_sent,
        } = self;
        state.visit(with);
        startup.visit(with);
        liveness.visit(with);
        readiness.visit(with);
        superseded.visit(with);
        resize.visit(with);
        post_start.visit(with);
        pre_stop.visit(with);
        stop_signal_sent.visit(with);
        kill_sent.visit(with);
    }
}

impl Times for AttemptState {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        match self {
            Self::Starting => {}
            Self::Running { since } => since.visit(with),
            Self::Exited(exit) => exit.visit(with),
        }
    }
}

impl Times for Exit {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self { code: _, signal: _, reason: _, message: _, started, finished } = self;
        started.visit(with);
        finished.visit(with);
    }
}

impl Times for ProbeState {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self { in_flight: _, last_started, successes: _, failures: _, errors: _, verdict: _, decided } =
            self;
        last_started.visit(with);
        decided.visit(with);
    }
}

impl Times for Superseded {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self { at, why: _ } = self;
        at.visit(with);
    }
}

impl Times for ResizeState {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        match self {
            Self::Idle | Self::UnderWay { of_pod: _ } | Self::Interrupted => {}
            Self::Failed { at, message: _ } => at.visit(with),
        }
    }
}

impl Times for HookState {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        match self {
            Self::NotRun => {}
            Self::Running { since: at } | Self::Done { at, failure: _ } => at.visit(with),
        }
    }
}

impl Times for StartError {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self { reason: _, message: _, at, delay: _ } = self;
        at.visit(with);
    }
}

impl Times for Backoff {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self { delay: _, decided, waited: _ } = self;
        decided.visit(with);
    }
}

impl Times for PullState {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        match self {
            Self::Pulling { after: _, failure: _ } => {}
            Self::Failed { at, reason: _, message: _, delay: _ } => at.visit(with),
        }
    }
}

impl Times for ContainerRecord {
    fn visit(&mut self, with: &mut dyn FnMut(Time<'_>)) {
        let Self {
            name: _,
            attempt: _,
            id: _,
            started,
            user: _,
            stop_signal: _,
            stop_signal_sent,
            kill_sent,
            exit,
        } = self;
        started.visit(with);
        stop_signal_sent.visit(with);
        kill_sent.visit(with);
        exit.visit(with);
    }
}
