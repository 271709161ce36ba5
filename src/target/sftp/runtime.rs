//! The threads on which connections live, and the way from ordinary threads to them and back.

use crate::error::{Error, Kind, Result};
use crate::locked::locked;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::Instant;

/// The runtime of this process, and its number: a forked child has none of its parent's threads.
static RUNTIME: Mutex<Option<(u32, Arc<Runtime>)>> = Mutex::new(None);

/// The runtime, made when it is first needed.
///
/// # Errors
/// If the system gives no thread.
pub fn runtime() -> Result<Arc<Runtime>> {
    let mut known = locked(&RUNTIME);
    let process = std::process::id();
    if let Some((owner, runtime)) = known.as_ref()
        && *owner == process
    {
        return Ok(Arc::clone(runtime));
    }
    let built = Builder::new_multi_thread().worker_threads(1).thread_name("sftp").enable_all().build();
    let built = Arc::new(built.map_err(|error| Error::from(error).during("start a thread"))?);
    // The one of the parent is never dropped: that would wait for threads which do not exist here.
    std::mem::forget(known.replace((process, Arc::clone(&built))));
    Ok(built)
}

/// How often all conversations of a target were ended; whoever waits stops waiting when it changes.
#[derive(Debug)]
pub struct Interruptions(watch::Sender<u64>);

impl Default for Interruptions {
    fn default() -> Self {
        Interruptions(watch::Sender::new(0))
    }
}

impl Interruptions {
    /// Ends everything that waits.
    pub fn interrupt(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    /// From now on.
    pub fn watch(&self) -> Patience {
        let mut receiver = self.0.subscribe();
        receiver.mark_unchanged();
        Patience { receiver }
    }
}

/// Waits until something happens, but not for ever.
#[derive(Debug, Clone)]
pub struct Patience {
    receiver: watch::Receiver<u64>,
}

impl Patience {
    /// The result of `work`, unless it takes longer than `timeout` or everything is ended meanwhile.
    ///
    /// # Errors
    /// [`Kind::Timeout`], and [`Kind::Disconnected`] after an interruption.
    pub async fn within<T>(&mut self, timeout: Duration, work: impl Future<Output = T>) -> Result<T> {
        self.until(Instant::now() + timeout, timeout, work).await
    }

    /// The same for one of several waits that have to end within `timeout` together, at `end`.
    ///
    /// # Errors
    /// As [`Patience::within`].
    pub async fn until<T>(
        &mut self,
        end: Instant,
        timeout: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T> {
        tokio::select! {
            biased;
            _ = self.receiver.changed() => {
                // Every later wait ends as well.
                self.receiver.mark_changed();
                Err(Error::new(Kind::Disconnected, "the connection was ended from here"))
            }
            result = tokio::time::timeout_at(end, work) => {
                result.map_err(|_| Error::new(Kind::Timeout, format!("no answer for {} seconds", timeout.as_secs_f64())))
            }
        }
    }

    /// Whether everything was ended.
    pub fn is_over(&self) -> bool {
        self.receiver.has_changed().unwrap_or(true)
    }
}
