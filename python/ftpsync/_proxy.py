"""Which proxy leads to a server: the option, or what the environment says."""

from __future__ import annotations

import os
import re

__all__ = ["proxy_for", "without_password"]

#: What stands for "no proxy", whatever the environment says.
_NONE = ("", "none", "direct")


def proxy_for(host: str, option: str | None) -> str | None:
    """Returns the URL of the proxy for a host, or None.

    Args:
        host: Name or address of the server.
        option: The option `proxy`; None if it was not given. Then `ALL_PROXY` counts, except for the hosts in
            `NO_PROXY`. Each is also looked for in lower case, which wins.

    Raises:
        ValueError: The option is no text.
    """
    if option is not None and not isinstance(option, str):
        raise ValueError(
            f"invalid option proxy: {without_password(repr(option))} (expected a URL, or 'none')"
        )
    if option is not None:
        return None if option.strip().lower() in _NONE else option.strip()
    proxy = _variable("all_proxy")
    if not proxy or _is_exempt(host, _variable("no_proxy")):
        return None
    return proxy


def without_password(url: str) -> str:
    """Returns the URL of a proxy as it may be shown."""
    return re.sub(r"(?<=://)[^/]*@", "***@", url)


def _variable(name: str) -> str:
    return (os.environ.get(name) or os.environ.get(name.upper()) or "").strip()


def _is_exempt(host: str, exceptions: str) -> bool:
    """Tells whether a list such as `localhost, .example.com, 10.0.0.0/8` names the host."""
    host = host.strip("[]").rstrip(".").lower()
    for each in filter(None, re.split(r"[,\s]+", exceptions.lower())):
        if each == "*" or _is_in_network(host, each):
            return True
        name = each.lstrip("*").lstrip(".").partition(":")[0]
        if name and (host == name or host.endswith(f".{name}")):
            return True
    return False


def _is_in_network(host: str, network: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network.strip("[]"), strict=False)
    except ValueError:  # One of them is a name.
        return False
