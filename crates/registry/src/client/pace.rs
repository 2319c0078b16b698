//! How long one waits for bytes, and how few of them are too few.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use tokio::time::Instant;

use super::{Limits, answer};
use crate::error::Problem;

/// Of one body. Only the time counts that was spent waiting for the network.
#[derive(Debug)]
pub(super) struct Pace {
    limits: Limits,
    waited: Duration,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), waited: Duration::ZERO, bytes: 0 }
    }

    /// The next part of the body, or its end.
    pub(super) async fn chunk(&mut self, response: &mut Response) -> Result<Option<Bytes>, Problem> {
        let before = Instant::now();
        let stall = self.limits.stall;
        let chunk =
            tokio::time::timeout(stall, response.chunk()).await.map_err(|_| Problem::Stalled(stall))?;
        let chunk = chunk.map_err(|error| answer::cut(&error))?;
        if let Some(chunk) = &chunk {
            self.count(before.elapsed(), chunk.len() as u64)?;
        }
        Ok(chunk)
    }

    fn count(&mut self, waited: Duration, bytes: u64) -> Result<(), Problem> {
        self.waited += waited;
        self.bytes += bytes;
        if self.waited < self.limits.slow_window {
            return Ok(());
        }
        if self.bytes < self.limits.slow_bytes_min {
            return Err(Problem::Slow {
                bytes_min: self.limits.slow_bytes_min,
                within: self.limits.slow_window,
            });
        }
        self.waited = Duration::ZERO;
        self.bytes = 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Pace;
    use crate::client::Limits;

    #[test]
    fn few_bytes_are_enough_if_they_come_in_time() {
        let limits =
            Limits { slow_window: Duration::from_secs(10), slow_bytes_min: 100, ..Limits::default() };
        let second = Duration::from_secs(1);
        let mut pace = Pace::new(&limits);
        for _ in 0..100 {
            pace.count(second, 10).unwrap();
        }
        for _ in 0..9 {
            pace.count(second, 9).unwrap();
        }
        assert!(pace.count(second, 9).is_err());
        let mut pace = Pace::new(&limits);
        for _ in 0..1000 {
            pace.count(Duration::ZERO, 1).unwrap();
        }
    }
}
