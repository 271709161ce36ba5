"""`FTPTarget.ftp`: commands of the user's own, on the server of a target.

Older releases exposed the `ftplib.FTP` object that did all the work, and scripts use it for what a target
does not offer, such as `target.ftp.sendcmd("SITE CHMOD 644 index.html")`. The core holds its conversations
natively, so this object has one of its own, opened with the first command and closed with the target.
"""

from __future__ import annotations

import contextlib
import ftplib
import hashlib
import hmac
import socket
import ssl
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ftpsync.ftp_target import FTPTarget

__all__ = ["detach", "make_user_ftp"]


def make_user_ftp(target: FTPTarget) -> ftplib.FTP:
    """Makes the object for a target, without connecting; an `ftplib.FTP_TLS` if the target uses TLS."""
    ftp: _UserFTP | _UserFTPS = _UserFTPS(context=ssl.create_default_context()) if target.tls else _UserFTP()
    ftp.encoding = target.encoding or "utf-8"
    ftp._target = weakref.ref(target)
    return ftp


def detach(ftp: ftplib.FTP) -> None:
    """Ends the conversation of such an object, politely if that is possible; harmless when there is none."""
    if not isinstance(ftp, (_UserFTP, _UserFTPS)):  # The user put something else there.
        return
    ftp._folder = None
    if ftp.sock is None:
        return
    ftp._is_busy = True
    try:
        with contextlib.suppress(OSError, EOFError, ftplib.Error):
            ftp.quit()
    finally:
        ftp._is_busy = False
        ftp.close()


class _OnDemand:
    """Connects when the first command is sent, and follows the current folder of the target."""

    _target: weakref.ref[FTPTarget] | None = None
    _is_busy = False
    _folder: str | None = None
    context: ssl.SSLContext

    def putcmd(self: Any, line: str) -> None:
        target = self._target() if self._target is not None else None
        if target is not None and target.connected and not self._is_busy:
            self._is_busy = True  # The commands below come through here as well.
            try:
                if self.sock is None:
                    self._attach(target)
                if target.cur_dir and target.cur_dir != self._folder:
                    self.cwd(target.cur_dir)
                    self._folder = target.cur_dir
            finally:
                self._is_busy = False
        super().putcmd(line)  # type: ignore[misc]

    def _attach(self: Any, target: FTPTarget) -> None:
        self.set_pasv(not target.get_option("ftp_active", False))
        self.set_debuglevel(int(target.get_option("ftp_debug", 0) or 0))
        timeout = target.timeout if target.timeout is not None else socket.getdefaulttimeout()
        if target.tls:
            self.context = _tls_context(target)
        try:
            self.connect(target.host, target.port or 0, *(() if timeout is None else (timeout,)))
            if target.tls:
                self.auth()
                _check_pin(self.sock, target.get_option("tls_pin"))
            self.login(target.username or "", target.password or "")
            if target.tls:
                self.prot_p()
        except BaseException:
            self.close()
            raise


class _UserFTP(_OnDemand, ftplib.FTP):
    pass


class _UserFTPS(_OnDemand, ftplib.FTP_TLS):
    pass


def _tls_context(target: FTPTarget) -> ssl.SSLContext:
    """Returns a context that trusts what the core does: the system, a CA file, a pin, or anybody."""
    context = ssl.create_default_context(cafile=target.get_option("tls_ca"))
    if target.get_option("tls_ca"):
        context.load_default_certs()
    is_unchecked = target.get_option("no_verify_tls", False) or not target.get_option("tls_verify", True)
    if is_unchecked or target.get_option("tls_pin"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _check_pin(sock: Any, pin: str | None) -> None:
    """Makes sure that the server has the pinned certificate.

    Raises:
        ssl.SSLError: It has another one.
    """
    if not pin:
        return
    wanted = pin.removeprefix("sha256:").replace(":", "").lower()
    found = hashlib.sha256(sock.getpeercert(binary_form=True)).hexdigest()
    if not hmac.compare_digest(wanted, found):
        raise ssl.SSLError(f"the certificate of the server is not the pinned one but sha256:{found}")
