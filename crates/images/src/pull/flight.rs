//! One piece of work for all who want it at the same time. It ends early when nobody wants it any more.

use std::convert::Infallible;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{oneshot, watch};

/// The work under way. `P` is how far it is, `T` what comes out.
#[derive(Debug)]
pub(super) struct Flights<K, P, T> {
    table: Arc<Mutex<Table<K, P, T>>>,
    running: watch::Sender<usize>,
}

type Table<K, P, T> = Vec<(K, Weak<Flight<P, T>>)>;

/// Held by everybody who waits for it.
#[derive(Debug)]
pub(super) struct Flight<P, T> {
    pub(super) progress: watch::Receiver<P>,
    result: watch::Receiver<Option<T>>,
    /// Dropped with the last who waits.
    _wanted: oneshot::Sender<Infallible>,
}

/// Ends when nobody waits any more.
#[derive(Debug)]
pub(super) struct Unwanted(oneshot::Receiver<Infallible>);

impl Unwanted {
    pub(super) async fn wait(self) {
        // Nothing is ever sent.
        let _ = self.0.await;
    }
}

/// The work was cut off with its runtime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct CutOff;

impl<P, T: Clone> Flight<P, T> {
    /// What came of it.
    pub(super) async fn result(&self) -> Result<T, CutOff> {
        let mut result = self.result.clone();
        let result = result.wait_for(Option::is_some).await.map_err(|_| CutOff)?;
        result.clone().ok_or(CutOff)
    }
}

impl<K, P, T> Flights<K, P, T>
where
    K: PartialEq + Send + 'static,
    P: Default + Send + Sync + 'static,
    T: Send + Sync + 'static,
{
    pub(super) fn new() -> Self {
        Self { table: Arc::default(), running: watch::Sender::new(0) }
    }

    /// The work of this key that is under way, or what `start` makes of it. That is to end soon after
    /// [`Unwanted`] does.
    pub(super) fn join<F>(
        &self,
        key: K,
        start: impl FnOnce(watch::Sender<P>, Unwanted) -> F,
    ) -> Arc<Flight<P, T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // Of the dead ones nothing is wanted any more.
        table.retain(|(_, flight)| flight.strong_count() > 0);
        let running = table.iter().find(|(known, _)| *known == key).and_then(|(_, flight)| flight.upgrade());
        if let Some(flight) = running {
            return flight;
        }
        let (progress_to, progress) = watch::channel(P::default());
        let (result_to, result) = watch::channel(None);
        let (wanted, unwanted) = oneshot::channel();
        let flight = Arc::new(Flight { progress, result, _wanted: wanted });
        table.push((key, Arc::downgrade(&flight)));
        let own = Arc::downgrade(&flight);
        let work = start(progress_to, Unwanted(unwanted));
        let (table, running) = (Arc::clone(&self.table), Running::new(&self.running));
        tokio::spawn(async move {
            let result = work.await;
            // Who comes from now on begins anew.
            let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
            table.retain(|(_, flight)| !Weak::ptr_eq(flight, &own));
            drop(table);
            result_to.send_replace(Some(result));
            drop(running);
        });
        flight
    }

    /// Waits until no work is under way, also none that nobody wants.
    pub(super) async fn idle(&self) {
        // Its sender is this one's.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }
}

/// Counts as long as it is there, however the task ends.
struct Running(watch::Sender<usize>);

impl Running {
    fn new(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|running| *running += 1);
        Self(count.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::Flights;

    #[tokio::test]
    async fn who_comes_while_it_lasts_shares_it_and_who_comes_later_begins_anew() {
        let flights: Flights<&str, (), usize> = Flights::new();
        let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let join = |key| {
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            flights.join(key, move |_, _| async move {
                let number = begun.fetch_add(1, Ordering::SeqCst);
                go.notified().await;
                number
            })
        };
        let first = join("a");
        let others: Vec<_> = (0..50).map(|_| join("a")).collect();
        go.notify_one();
        assert_eq!(first.result().await, Ok(0));
        for other in others {
            assert_eq!(other.result().await, Ok(0));
        }
        let next = join("a");
        go.notify_one();
        assert_eq!(next.result().await, Ok(1));
        let other = join("b");
        go.notify_one();
        assert_eq!(other.result().await, Ok(2));
        flights.idle().await;
    }

    #[tokio::test]
    async fn it_ends_with_the_last_who_waits_and_not_with_the_first() {
        let flights: Flights<(), (), bool> = Flights::new();
        let start = |_, unwanted: super::Unwanted| async move {
            unwanted.wait().await;
            true
        };
        let first = flights.join((), start);
        let second = flights.join((), start);
        drop(first);
        assert_eq!(*second.result.borrow(), None);
        let mut result = second.result.clone();
        drop(second);
        assert_eq!(*result.wait_for(Option::is_some).await.expect("the work ends"), Some(true));
        flights.idle().await;
    }
}
