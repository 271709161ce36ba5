//! The two sides of a synchronisation, so that no rule has to be written twice.

use std::fmt;
use std::ops::{Index, IndexMut};

/// One of the two places that are kept in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// The first argument of a synchronizer.
    Local,
    /// The second argument of a synchronizer.
    Remote,
}

impl Side {
    /// Both, local first.
    pub const BOTH: [Side; 2] = [Side::Local, Side::Remote];

    /// The opposite side.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Side::Local => Side::Remote,
            Side::Remote => Side::Local,
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::Local => "local",
            Side::Remote => "remote",
        })
    }
}

/// One value for each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Sides<T> {
    /// The value of the local side.
    pub local: T,
    /// The value of the remote side.
    pub remote: T,
}

impl<T> Sides<T> {
    /// A pair of values.
    pub fn new(local: T, remote: T) -> Self {
        Sides { local, remote }
    }

    /// The values, each made by `make` from its side.
    pub fn from_fn(mut make: impl FnMut(Side) -> T) -> Self {
        Sides { local: make(Side::Local), remote: make(Side::Remote) }
    }

    /// Applies `change` to both values.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> Sides<U> {
        Sides { local: change(self.local), remote: change(self.remote) }
    }

    /// The values by reference.
    pub fn as_ref(&self) -> Sides<&T> {
        Sides { local: &self.local, remote: &self.remote }
    }

    /// Puts the values of two pairs together, side by side.
    pub fn zip<U>(self, other: Sides<U>) -> Sides<(T, U)> {
        Sides { local: (self.local, other.local), remote: (self.remote, other.remote) }
    }

    /// The same values with the sides exchanged.
    #[must_use]
    pub fn swap(self) -> Self {
        Sides { local: self.remote, remote: self.local }
    }
}

impl<T> Index<Side> for Sides<T> {
    type Output = T;
    fn index(&self, side: Side) -> &T {
        match side {
            Side::Local => &self.local,
            Side::Remote => &self.remote,
        }
    }
}

impl<T> IndexMut<Side> for Sides<T> {
    fn index_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Local => &mut self.local,
            Side::Remote => &mut self.remote,
        }
    }
}
