"""A small FTP server to synchronise with. Prints its port, then serves until it is ended.

Run by the tests in an environment that has pyftpdlib: `python ftp_server.py ROOT [options]`.
With `--tls` a certificate for 127.0.0.1 and localhost is made first and written to `ROOT/../certificate.pem`.
"""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import os
from pathlib import Path

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer, ThreadedFTPServer

USER, PASSWORD = "joe", "secret"


class Folders(AbstractedFS):  # type: ignore[misc]
    """Sessions may be threads, which share one working folder: it stays as it is. pyftpdlib goes into a folder to see
    whether it can; of two threads that do, one may stay in a folder that is removed, and then no session can move."""

    def chdir(self, path: str) -> None:
        os.stat(os.path.join(path, "."))
        self.cwd = self.fs2ftp(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--no-mfmt", action="store_true", help="be a server that cannot set times")
    parser.add_argument("--no-mlsd", action="store_true", help="be an old server that knows LIST only")
    parser.add_argument("--read-only", action="store_true", help="let joe change nothing")
    parser.add_argument(
        "--refuse", metavar="WORD", help="refuse to send or take files with this in their name"
    )
    parser.add_argument(
        "--threads",
        action="store_true",
        help="one thread for each session: in active mode pyftpdlib 2.2 mixes up the sessions of one thread",
    )
    parser.add_argument("--tls", action="store_true", help="insist on TLS for control and data")
    args = parser.parse_args()

    base = FTPHandler
    if args.tls:
        from pyftpdlib.handlers import TLS_FTPHandler

        base = TLS_FTPHandler

    unknown = {"MFMT"} if args.no_mfmt else set()
    if args.no_mlsd:
        unknown |= {"MLSD", "MLST"}

    class Handler(base):  # type: ignore[misc, valid-type]
        authorizer = DummyAuthorizer()
        abstracted_fs = Folders
        proto_cmds = {  # noqa: RUF012
            name: command for name, command in base.proto_cmds.items() if name not in unknown
        }

        def ftp_RETR(self, file: str) -> None:
            self.refuse(file) or super().ftp_RETR(file)

        def ftp_STOR(self, file: str, mode: str = "w") -> None:
            self.refuse(file) or super().ftp_STOR(file, mode)

        def refuse(self, file: str) -> bool:
            is_refused = bool(args.refuse) and args.refuse in Path(file).name
            if is_refused:
                self.respond("550 Not this one.")
            return is_refused

    if args.tls:
        Handler.certfile = str(make_certificate(args.root.parent / "certificate.pem"))
        Handler.tls_control_required = True
        Handler.tls_data_required = True
    Handler.authorizer.add_user(
        USER, PASSWORD, str(args.root), perm="elr" if args.read_only else "elradfmwMT"
    )
    server = (ThreadedFTPServer if args.threads else FTPServer)(("127.0.0.1", 0), Handler)
    print(server.address[1], flush=True)
    server.serve_forever(handle_exit=True)


def make_certificate(path: Path) -> Path:
    """Writes a key and a certificate that is its own authority."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    usage = x509.KeyUsage(True, False, False, False, False, True, False, False, False)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path


if __name__ == "__main__":
    main()
