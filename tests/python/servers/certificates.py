"""Makes the certificates of a test server: an authority of its own and a leaf for loopback."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .debian import Unavailable


@dataclass(frozen=True)
class Certificates:
    """The PEM files of one server."""

    authority: Path
    """What a client has to trust."""
    chain: Path
    """The leaf with its chain."""
    key: Path
    both: Path
    """Key and chain in one file, as Pure-FTPd and pyftpdlib want them."""


def make(folder: Path, *hosts: str) -> Certificates:
    """Writes new certificates for `hosts` into a folder."""
    try:
        import trustme
    except ImportError:
        raise Unavailable("TLS servers need the Python package trustme") from None

    made = Certificates(folder / "ca.pem", folder / "chain.pem", folder / "key.pem", folder / "both.pem")
    authority = trustme.CA()
    leaf = authority.issue_cert(*dict.fromkeys(hosts), common_name=hosts[0])
    authority.cert_pem.write_to_path(made.authority)
    for blob in leaf.cert_chain_pems:
        blob.write_to_path(made.chain, append=True)
    leaf.private_key_pem.write_to_path(made.key)
    leaf.private_key_and_cert_chain_pem.write_to_path(made.both)
    for secret in (made.key, made.both):
        secret.chmod(0o600)
    return made
