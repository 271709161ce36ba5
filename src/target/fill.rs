//! Reading a body in blocks.

use std::io::{self, Read};

/// Reads until the buffer is full or the body has ended; returns how many bytes that were.
///
/// # Errors
/// What the body says.
pub fn fill(body: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match body.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
