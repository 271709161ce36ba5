//! Whole runs of the engine in an imagined world: trees in memory, an imagined clock, an order of work, mishaps and edits by
//! the user, all drawn from one number. What cannot be right in any world is checked at every step, by rules that know
//! nothing of how the engine decides.
//!
//! - `dice`: numbers from a number.
//! - `place`: a side of the world; every verb of a session is a step at which something may happen.
//! - `rules`: what must hold whenever the tool changes something.
//! - `play`: rounds of edits and runs, and what must hold between them.
//! - `doubts`: metadata that is lost or lies, clocks that are wrong, and names that nobody would give.

pub mod dice;
mod doubts;
mod place;
mod planner;
mod play;
mod rules;
