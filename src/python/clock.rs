//! The clock of a run: the time of the system, and how people of its time zone read it.

use crate::engine::Clock;
use crate::locked::locked;
use pyo3::prelude::*;
use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The clock of this computer.
pub struct SystemClock {
    start: Instant,
    /// The last time that was made readable, in whole seconds, and its text.
    last: Mutex<(i64, String)>,
    zone: f64,
}

impl SystemClock {
    /// Its run begins now.
    pub fn new() -> Self {
        SystemClock { start: Instant::now(), last: Mutex::new((i64::MIN, String::new())), zone: local_zone() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> f64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
    }

    fn elapsed(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Local time needs the system's time zone, which Python knows. It is asked once a second at most, however many folders
    /// are remembered in that time.
    fn readable(&self, seconds: f64) -> String {
        let mut last = locked(&self.last);
        let whole = seconds.floor() as i64;
        if last.0 != whole {
            *last = (whole, local_time(seconds));
        }
        last.1.clone()
    }

    fn zone(&self) -> f64 {
        self.zone
    }
}

fn local_zone() -> f64 {
    Python::attach(|py| py.import("time")?.getattr("timezone")?.extract()).unwrap_or(0.0)
}

fn local_time(seconds: f64) -> String {
    Python::attach(|py| -> PyResult<String> {
        let time = py.import("time")?;
        let local = time.call_method1("localtime", (seconds,))?;
        time.call_method1("strftime", ("%Y-%m-%d %H:%M:%S", local))?.extract()
    })
    .unwrap_or_else(|_| format!("{seconds}"))
}
