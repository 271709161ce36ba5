"""A folder on an SFTP server.

The conversation with the server is native (`ftpsync._core`), keys, agent, known hosts and `~/.ssh/config`
included; this class finds passwords, words what the user sees while connecting, and offers the verbs for use
by hand.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from ftpsync._base_target import _get_encoding_opt, _Target
from ftpsync._errors import harmless
from ftpsync._proxy import proxy_for
from ftpsync._server_login import check_server
from ftpsync._server_target import ServerTarget, native_maker
from ftpsync.metadata import DirMetadata, IncompatibleMetadataVersion, IncompatibleMetadataVersionError
from ftpsync.user_sftp import PatchedPysftpConnection
from ftpsync.util import (
    PASSWORD_VARIABLE,
    CliSilentRuntimeError,
    get_credentials_for_url,
    login_name,
    prompt_for_password,
    save_password,
    write,
    write_error,
)

__all__ = [
    "AuthenticationException",
    "CliSilentRuntimeError",
    "DirMetadata",
    "IncompatibleMetadataVersion",
    "IncompatibleMetadataVersionError",
    "PasswordRequiredException",
    "PatchedPysftpConnection",
    "SFTPTarget",
    "_Target",
]

_SSH_PORT: Final = 22

#: Options that the native target reads.
_NATIVE_OPTIONS = (
    "accept_new_host_key",
    "connect_timeout",
    "connections",
    "identity_file",
    "links",
    "no_verify_host_keys",
    "passphrase",
    "ssh_config",
    "verify",
)


class AuthenticationException(RuntimeError):
    """The server refused every way to log in.

    In a program that uses paramiko, it is also the exception of that name there.
    """


class PasswordRequiredException(AuthenticationException):
    """A key file is encrypted, and its passphrase is missing or wrong."""


def _login_refused(message: str) -> Exception:
    """Makes the exception for a refused login."""
    return _also_of_paramiko(AuthenticationException)(message)


def _key_locked(message: str) -> Exception:
    """Makes the exception for an encrypted key."""
    return _also_of_paramiko(PasswordRequiredException)(message)


def _existing(config: str | os.PathLike[str]) -> str:
    """Returns the path of a configuration of ssh. Without it the wrong host might be reached, by the wrong way.

    Raises:
        ValueError: There is no such file.
    """
    path = os.path.expanduser(config)
    if not os.path.exists(path) or os.path.isdir(path):
        raise ValueError(f"there is no file {os.fspath(config)!r}; check the path after --ssh-config")
    return path


def _cause(exc: OSError) -> str:
    """Returns why something failed, without what and with which advice."""
    return str(exc.strerror).rpartition('": ')[2].partition(";")[0]


def _also_of_paramiko(kind: type[Exception]) -> type[Exception]:
    theirs = getattr(sys.modules.get("paramiko"), kind.__name__, None)
    if not isinstance(theirs, type) or not issubclass(theirs, Exception):
        return kind
    return type(kind.__name__, (kind, theirs), {"__module__": __name__, "__doc__": kind.__doc__})


class SFTPTarget(ServerTarget):
    """A folder on an SFTP server.

    Args:
        path: Absolute path on the server; empty means `/`.
        host: Name or address, or an alias of `~/.ssh/config`.
        port: 0 or None for the one in `~/.ssh/config`, else 22.
        username: None for the one in `~/.ssh/config`, else the name of this system's user.
        password: None to log in with the keys of the ssh agent or with key files, or to ask.
        timeout: Seconds; None for the option `timeout`, else `socket.getdefaulttimeout()`.
        extra_opts: Options of this target alone.

    Attributes:
        username, password, port, timeout: As given; may be set until `open()`.
        sftp: The connection while the target is open, else None.
        lock_data, lock_write_time: The lock file that a run holds on the server, if any.
        ftp_socket_connected: A session with the server is open.
    """

    def __init__(
        self,
        path: str | None,
        host: str,
        port: int | None = _SSH_PORT,
        username: str | None = None,
        password: str | None = None,
        timeout: float | None = None,
        extra_opts: dict[str, Any] | None = None,
    ) -> None:
        check_server(host, port, timeout, username=username, password=password)
        self.encoding = _get_encoding_opt(None, extra_opts, "utf-8")
        super().__init__(path, host, extra_opts)
        self.port: int = port or _SSH_PORT
        # Then the configuration of ssh may name another one.
        self._is_usual_port = not port
        self.username = username
        self.password = password
        self.timeout = timeout
        self.sftp: PatchedPysftpConnection | None = None
        self._passphrase: str | None = None

    def get_base_name(self) -> str:
        """Returns the URL without user, password and port."""
        return f"sftp://{self.host}{self.root_dir}"

    # --- Life ---

    def open(self) -> None:
        """Connects, logs in and goes to the root.

        Keys come first: those of the ssh agent, then files. A password that is missing is looked up or asked
        for, as the options allow, once they are refused.

        Raises:
            CliSilentRuntimeError: The remote folder is missing, or the key of the host is not to be trusted.
            AuthenticationException: No way to log in was accepted.
            RuntimeError: The target is open already, or the root cannot be entered.
            OSError: The server could not be reached, or refused something.
        """
        super().open()
        try:
            self._prepare()
            if self.get_option("ftp_active", False):
                raise RuntimeError("SFTP does not have active/passive mode.")
            self._look_who_sees_the_password()
            self._find_credentials()
            self._session = self._enter()
            self.ftp_socket_connected = True
            self.cur_dir = self.root_dir
            self.sftp = PatchedPysftpConnection(self)
            verbose = self._verbose()
            for level, line in self._with_warning(self._session.greeting):
                if verbose >= level:
                    write(harmless(line))
            self._have_it_locked()
            if self.get_option("store_password", False) and self.username and self.password:
                save_password(self.host, self.username, self.password)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Says goodbye to the server. Harmless when the target is not open."""
        sftp, self.sftp = self.sftp, None
        if sftp is not None:
            sftp.close()
        super().close()

    def _find_credentials(self) -> None:
        """Looks a password up; asks for it only if that is wanted before anything else was tried."""
        if self.password is None:
            self.password = self._given_password(self.username)
        if self.username and self.password is not None:
            return
        options = self.get_options_dict()
        if self.get_option("prompt", False):
            found = get_credentials_for_url(self.host, options, force_user=self.username or None)
        elif not self.username:
            # Keys may do, and nobody needs to hear of a keyring then.
            options |= {"no_prompt": True, "_tell": self._keyring_troubles.append}
            found = get_credentials_for_url(self.host, options)
        else:
            # Stores keep one user per host, perhaps another one. Keys may do.
            found = None
        if found:
            self.username, self.password = found

    def _whereabouts(self) -> tuple[tuple[Any, ...], list[str]]:
        return ("sftp", self.host.lower(), self.port, self.username or None), self._way()

    def _make_native(self, *, create_folder: bool) -> Any:
        make = native_maker("sftp")
        options = self._native_options(_NATIVE_OPTIONS)
        if isinstance(options.get("identity_file"), (str, os.PathLike)):
            options["identity_file"] = [options["identity_file"]]
        if "ssh_config" in options:
            options["ssh_config"] = _existing(options["ssh_config"])
        if self._passphrase is not None:
            options["passphrase"] = self._passphrase
        options["create_folder"] = create_folder
        options["encoding"] = self.encoding
        timeout = self._seconds()
        if timeout is not None:
            options["timeout"] = timeout
        home = os.path.expanduser("~")
        target = functools.partial(
            make,
            host=self.host,
            port=0 if self._is_usual_port and self.port == _SSH_PORT else self.port,
            user=self.username or None,
            password=self.password,
            root=self.root_dir,
            home=None if home == "~" else home,
            login_name=login_name() or "root",
            agent=os.environ.get("SSH_AUTH_SOCK") or None,
            # What is no text cannot be a part of a path in a file of text.
            variables={
                name: value
                for name, value in os.environ.items()
                if name != PASSWORD_VARIABLE and (name + value).isprintable()
            },
        )
        native = target(options=options)
        proxy = self._proxy(native.first_host)
        return target(options=options | {"proxy": proxy}) if proxy else native

    def _proxy(self, first_host: Sequence[str] | None) -> str | None:
        """Returns the URL of the proxy on the way to the first host, which has two names; None for a program."""
        option = self.get_option("proxy")
        if option is None and first_host is None:
            return None  # The configuration of ssh is about this host; the environment is about all.
        found = [proxy_for(name, option) for name in first_host or (self.host,)]
        return found[0] if all(found) else None

    def _enter(self) -> Any:
        """Connects until the login is accepted and the root is there; returns the session."""
        create_folder = False
        while True:
            self._native = self._make_native(create_folder=create_folder)
            write(f"Connecting {self._native.user}:*** to sftp://{self.host}")
            if self.get_option("no_verify_host_keys", False):
                write("The key of the host is not checked (--no-verify-host-keys).", warning=True)
            try:
                return self._native.open()
            except PasswordRequiredException as exc:
                self._ask_passphrase(exc)
            except AuthenticationException as exc:
                self._ask_again(exc)
            except FileNotFoundError as exc:
                if create_folder or "change to the folder" not in str(exc):
                    raise
                imagined = self._on_missing_root(exc, _cause(exc))
                if imagined is not None:
                    return imagined
                create_folder = True

    def _ask_passphrase(self, refusal: Exception) -> None:
        """Asks for the passphrase of a key, or gives up."""
        import getpass

        if self.get_option("no_prompt", True):
            self._tell_of_the_keyring()
            raise refusal
        write_error(harmless(str(refusal)))
        try:
            answer = getpass.getpass("Enter the passphrase of the key (empty for a password instead): ")
        except EOFError:
            raise refusal from None
        if answer:
            self._passphrase = answer
        else:
            self._ask_again(refusal)

    def _ask_again(self, refusal: Exception) -> None:
        """Reports a refused login and asks for a password, or gives up."""
        user = self._native.user
        if self.password is None:
            # The configuration of ssh may have named the user.
            self.password = self._given_password(user)
            if self.password is not None:
                return
        self._tell_of_the_keyring()
        if self.get_option("no_prompt", True):
            # Whoever catches it tells the reason.
            write_error(f"Could not login to {user}@{self.host}.")
            raise refusal
        write_error(harmless(f"Could not login to {user}@{self.host}: {refusal}"))
        with self._unless_nobody_answers(refusal):
            answer = prompt_for_password(self.host, user=user)
        if answer is None:
            raise refusal
        self.username, self.password = answer

    def _stray(self, path: str) -> None:
        """Has names looked up in another folder than the current one."""
        self._strayed = (self.cur_dir, self._in_order(path))
        self._listed = None
