//! The memory of a shim that has nothing to do. There is one of it per pod, for as long as the pod lives, so
//! what some work took is given back soon after.

use std::time::Duration;

use linux_sys::memory;
use podspec::BootTime;

use crate::clock;
use crate::log_pump::Scratch;
use crate::supervisor::Shim;

/// Work comes in bursts, such as the start of a pod: waiting this long gives back what all of it took, once.
const RELEASE_AFTER: Duration = Duration::from_millis(250);

/// For work that is done now.
pub(crate) fn release_time() -> BootTime {
    clock::boot().after(RELEASE_AFTER)
}

impl Shim {
    /// To be called after work that takes memory, not after a few lines of output.
    pub(crate) fn release_later(&mut self) {
        self.release_at.get_or_insert_with(release_time);
    }

    /// When it is time: buffers, free heap, and the code of the start, which is not needed again.
    pub(crate) fn release_memory(&mut self) {
        if self.release_at.is_none_or(|at| clock::boot() < at) {
            return;
        }
        self.release_at = None;
        self.scratch = Scratch::default();
        let lives = self.containers.values_mut().filter_map(|supervised| supervised.live.as_mut());
        lives.for_each(|live| live.pump.release_memory());
        if let Some(engine) = &mut self.engine {
            engine.connection.release_memory();
        }
        memory::release_stack();
        memory::release_heap();
        memory::release_program();
    }
}
