//! The TLS sessions that one control connection can resume.
//!
//! Servers want data connections to resume the session of their control connection. In TLS 1.2 that works any number of times.
//! In TLS 1.3 each time takes a ticket; ProFTPD hands out two at login and no more, so such a conversation is used up
//! after two transfers. That has to be seen before a transfer is refused for it.

use crate::locked::locked;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;
use std::collections::VecDeque;
use std::sync::Mutex;

/// A server may send any number of tickets; more than these are of no use.
const MAX_TICKETS: usize = 8;

/// What one server has given; there is one name for each control connection, so names are not looked at.
#[derive(Debug, Default)]
pub struct Tickets {
    group: Mutex<Option<NamedGroup>>,
    session: Mutex<Option<Tls12ClientSessionValue>>,
    tickets: Mutex<VecDeque<Tls13ClientSessionValue>>,
}

impl Tickets {
    /// Whether a ticket of TLS 1.3 is left.
    pub fn are_left(&self) -> bool {
        !locked(&self.tickets).is_empty()
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        *locked(&self.group) = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        *locked(&self.group)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        *locked(&self.session) = Some(value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        locked(&self.session).clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        *locked(&self.session) = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        let mut tickets = locked(&self.tickets);
        if tickets.len() == MAX_TICKETS {
            tickets.pop_front();
        }
        tickets.push_back(value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        locked(&self.tickets).pop_back()
    }
}
