//! How much is tried: a sample in everyday runs, everything with `FTPSYNC_THOROUGH=1` in the environment (`make chaos`).

/// Whether there is time.
pub fn is_thorough() -> bool {
    std::env::var_os("FTPSYNC_THOROUGH").is_some_and(|value| !value.is_empty() && value != "0")
}

/// One number for everyday runs, another one for thorough ones.
pub fn rounds(usual: u64, thorough: u64) -> u64 {
    if is_thorough() { thorough } else { usual }
}

/// The numbers below `count`: all of them, or about `usual`, evenly spread, with both ends.
pub fn points(count: usize, usual: usize) -> Vec<usize> {
    if is_thorough() || count <= usual {
        return (0..count).collect();
    }
    (0..usual).map(|index| index * (count - 1) / (usual - 1).max(1)).collect()
}

/// Does all the work, a few pieces at a time, and collects what was found.
pub fn in_parallel<T: Send + Sync, R: Send>(
    work: &[T],
    hands: usize,
    each: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let found = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..hands {
            scope.spawn(|| {
                while let Some(piece) = work.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let result = each(piece);
                    found.lock().unwrap().push(result);
                }
            });
        }
    });
    found.into_inner().unwrap()
}
