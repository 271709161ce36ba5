"""User and password of a server: from the keyring, from `.netrc`, or by asking.

A part of `ftpsync.util`, which imports it: what scripts and tests replace there (`keyring`, `write`) counts here.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Final

from ftpsync import util

__all__ = ["get_credentials_for_url", "prompt_for_password", "save_password"]

#: The service name under which passwords are kept in the keyring.
_KEYRING_SERVICE: Final = "pyftpsync"


def prompt_for_password(
    url: str, user: str | None = None, default_user: str | None = None
) -> tuple[str, str] | None:
    """Asks for a password, and for a user name if there is none yet.

    Args:
        url: The host (or URL) to name in the question.
        user: The user, if known. An empty one is a guest, who is not asked.
        default_user: What an empty answer means; the login name of this system, if there is one, if None.

    Returns:
        User and password; None for a guest. Ctrl+C passes through as `KeyboardInterrupt`.

    Raises:
        RuntimeError: Standard input is closed.
    """
    if user == "":
        return None
    try:
        if user is None:
            default_user = default_user or util.login_name()
            offered = f" [{default_user}]" if default_user else ""
            while not user:
                user = util.ask(f"Enter username for {url}{offered}: ").strip() or default_user
        return user, _ask_hidden(f"Enter password for {user}@{url} (Ctrl+C to abort): ")
    except EOFError as exc:
        if user is None:
            raise RuntimeError(
                f"Cannot ask for the credentials of {url}: nobody answers. Store them in the keyring or in .netrc, "
                f"write the user into the URL and set {util.PASSWORD_VARIABLE}, or pass --no-prompt to log in "
                "anonymously."
            ) from exc
        raise RuntimeError(
            f"Cannot ask for the password of {user} at {url}: nobody answers. Set {util.PASSWORD_VARIABLE}, or store "
            "user and password in the keyring or in .netrc and leave the user out of the URL."
        ) from exc


def _ask_hidden(question: str) -> str:
    """Asks a question on the terminal, where the answer is not shown.

    Raises:
        EOFError: Nobody answers.
    """
    import getpass

    is_replaced = getpass.getpass is not getattr(getpass, "unix_getpass", None)
    if not is_replaced and util.has_empty_input() and not _has_terminal():
        raise EOFError
    with warnings.catch_warnings():
        # Where there is no terminal nothing is echoed.
        warnings.simplefilter("ignore", getpass.GetPassWarning)
        return getpass.getpass(question)


def _has_terminal() -> bool:
    """Tells whether the process has a terminal, wherever its standard input comes from."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def get_credentials_for_url(
    url: str, opts: Mapping[str, Any], force_user: str | None = None
) -> tuple[str, str] | None:
    """Finds user and password for a host: in the keyring, in `~/.netrc`, or by asking.

    Args:
        url: The bare host name.
        opts: Reads `prompt`, `no_prompt` (True if absent), `no_keyring`, `no_netrc` and `verbose`. Targets pass a
            function as `_tell`, which gets the line about a keyring that cannot be asked, unless a question follows;
            else it is an error line.
        force_user: The password is wanted for this user. Nothing is looked up then, since the stores keep
            one user per host. An empty one is a guest: what the stores have is taken, but no question asked.

    Returns:
        User and password, or None if nothing was found: log in anonymously.

    Raises:
        RuntimeError: A password is needed for `force_user`, but asking is not allowed; or an old password
        file exists.
    """
    may_ask = not opts.get("no_prompt", True)
    must_ask = bool(opts.get("prompt"))
    verbose = opts.get("verbose")
    verbose = 3 if verbose is None else int(verbose)

    if force_user and not may_ask:
        raise RuntimeError(
            f"Cannot get credentials for a distinct user ({force_user}): keyring and .netrc are not searched "
            "for one, and asking is switched off. Pass the password as well, set "
            f"{util.PASSWORD_VARIABLE}, or allow prompts."
        )
    if os.path.isfile(os.path.join(os.path.expanduser("~"), util.DEFAULT_CREDENTIAL_STORE)):
        raise RuntimeError(
            "Custom password files are no longer supported. "
            f"Delete ~/{util.DEFAULT_CREDENTIAL_STORE} and use the keyring or .netrc."
        )

    found: tuple[str, str] | None = None
    tell = opts.get("_tell") or util.write_error
    looks_up = not force_user and (not must_ask or util.emulates_31())
    wants_keyring = looks_up and not opts.get("no_keyring")
    if wants_keyring:
        found = _from_keyring(url, verbose, tell)
    if looks_up and found is None and not opts.get("no_netrc"):
        found = _from_netrc(url, verbose)

    asks = (
        may_ask and (must_ask or found is None) if util.emulates_31() else must_ask or (not found and may_ask)
    )
    if wants_keyring and found is None and verbose < 4 and _lacks_keyring():
        (util.write_error if asks else tell)(_without_keyring(url))
    if not asks:
        return found
    if util.emulates_31():
        # It asks for the user as well, even for one that is given.
        return util.prompt_for_password(url, default_user=found[0] if found else force_user)
    # The option `prompt` is a question for the user as well, unless there is one.
    return util.prompt_for_password(url, user=(force_user or None) if must_ask else force_user)


def _lacks_keyring() -> bool:
    """Tells whether the keyring cannot be asked because its package is not installed.

    One that is broken was reported when it was loaded, and whoever puts None in its place does not want it.
    """
    from importlib.util import find_spec

    return util._optional("keyring") is None and find_spec("keyring") is None


def _without_keyring(host: str) -> str:
    return (
        f"The system keyring is not asked for the credentials of {host}: run pip install 'pyftpsync-rs[keyring]', "
        "or pass --no-keyring."
    )


def _from_keyring(host: str, verbose: int, tell: Callable[[str], object]) -> tuple[str, str] | None:
    keyring = util._optional("keyring")
    if keyring is None:
        if verbose >= 4 and _lacks_keyring():
            util.write(_without_keyring(host))
        return None
    try:
        stored = keyring.get_password(_KEYRING_SERVICE, host)
    except Exception as exc:  # Back ends of the keyring raise what they like.
        tell(f"Could not get password from keyring ({type(exc).__name__}): {exc}")
        return None
    if not stored:
        if verbose >= 4:
            util.write(f"No credentials found in keyring('{_KEYRING_SERVICE}', '{host}').")
        return None
    user, colon, password = stored.partition(":")
    if not colon:
        # All of it may be the password.
        util.write_error(
            f"What keyring('{_KEYRING_SERVICE}', '{host}') holds is not of the form user:password."
        )
        return None
    util.write(f"Using credentials from keyring('{_KEYRING_SERVICE}', '{host}'): {user}:***.")
    return user, password


def _from_netrc(host: str, verbose: int) -> tuple[str, str] | None:
    import netrc

    try:
        entry = netrc.netrc().authenticators(host)
    except FileNotFoundError:
        entry = None
    except netrc.NetrcParseError as exc:
        # Its words repeat what stands there, which may be a part of a password.
        has_place = exc.lineno is not None
        place = f"{exc.filename}, line {exc.lineno}, is not understood" if has_place else exc.args[0]
        util.write_error(f"Could not read .netrc file: {place}")
        return None
    except (OSError, UnicodeDecodeError) as exc:
        util.write_error(f"Could not read .netrc file: {exc}")
        return None
    if entry is None:
        if verbose >= 4:
            util.write(f"Could not find entry for '{host}' in .netrc file.")
        return None
    login, account, password = entry
    user = login or account
    if not user:  # It is for programs that are told the user in another way.
        util.write_error(f"The entry for '{host}' in the .netrc file names no user: it is not used.")
        return None
    util.write(f"Using credentials from .netrc file: {user}:***.")
    return user, password or ""


def save_password(url: str, username: str, password: str | None) -> None:
    """Keeps a password in the keyring, or deletes it.

    Failures of the keyring are written, never raised: a sync that worked is not spoilt by them.

    Args:
        url: The bare host name.
        username: The user.
        password: The password; None deletes what is stored for the host.

    Raises:
        RuntimeError: The user name has a colon, which separates user and password in the store.
    """
    keyring = util._optional("keyring")
    if keyring is None:
        util.write_error(
            "Could not store credentials: the package keyring is missing (pip install 'pyftpsync-rs[keyring]')."
        )
        return
    if ":" in username:
        raise RuntimeError(f"Unable to store credentials if the user name contains a ':' ({username}).")
    try:
        if password is None:
            keyring.delete_password(_KEYRING_SERVICE, url)
            util.write(f"Delete credentials from keyring ({url})")
        else:
            keyring.set_password(_KEYRING_SERVICE, url, f"{username}:{password}")
            util.write(f"Store credentials in keyring ({url}, {username}:***).")
    except Exception as exc:  # Back ends of the keyring raise what they like.
        util.write_error(f"Could not delete/set password for '{url}' in the keyring ({type(exc).__name__}).")
