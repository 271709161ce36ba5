//! Addresses that mean something on one line only, `fe80::/10` (RFC 4291, section 2.5.6).

use crate::error::Error;
use std::net::SocketAddr;

/// The error for a connection that could not be made, with advice if the address names no interface behind which to look for it.
pub fn advised(error: Error, address: &SocketAddr) -> Error {
    match address {
        SocketAddr::V6(address) if address.ip().is_unicast_link_local() && address.scope_id() == 0 => {
            let ip = address.ip();
            error.advise(format!("such an address needs the interface behind it: [{ip}%25eth0]"))
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn only_a_link_local_address_without_an_interface_needs_one() {
        let shown = |address: &str| {
            let error = Error::new(Kind::Connect, "invalid argument");
            advised(error, &address.parse().unwrap()).to_string()
        };
        let told = shown("[fe80::1]:21");
        assert!(told.contains("[fe80::1%25eth0]"), "{told}");
        for address in ["[fe80::1%2]:21", "[2001:db8::1]:21", "169.254.0.1:21"] {
            assert!(!shown(address).contains("interface"), "{address}");
        }
    }
}
