"""Passwords in what is public: command lines, configurations, and the files that keep both."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from abx_amr.errors import InputError

#: As SQLAlchemy parts an address: what is between the first colon and an @ is the password.
_IN_ADDRESS = re.compile(r"(?<=://)([^:/\s]*):([^@\s]+)@")
_WORDS = r"(?:password|passwd|passphrase|secret|api_?key|access_?token|auth_?token)"
_IN_SETTING = re.compile(rf"(?i)((?:^|[\s.+~?&'\"{{,])[\w-]*{_WORDS}=)([^&\s'\"}}]+)")
_NAME = re.compile(rf"(?i)^[\w-]*{_WORDS}$")
_IN_YAML = re.compile(rf"(?im)^(\s*(?:- )?[\w-]*{_WORDS}\s*:[ \t]+)(?!null$|''$|\$\{{)(\S.*)$")
_HIDDEN = "***"


def is_secret_name(name: str) -> bool:
    """Return whether a setting of this name holds a secret.

    >>> is_secret_name("sslpassword"), is_secret_name("passfile")
    (True, False)
    """
    return _NAME.match(name) is not None


def holds_secret(text: str) -> bool:
    """Return whether a text holds a password: in an address, or as a setting.

    >>> holds_secret("postgresql://ada:swordfish@host/db"), holds_secret("journal:///a:b.log")
    (True, False)
    >>> holds_secret("storage.url=postgresql://host/db?sslpassword=swordfish")
    True
    """
    return bool(_IN_ADDRESS.search(text) or _IN_SETTING.search(text))


def redacted(value: Any) -> Any:
    """Return plain data without its secrets.

    >>> redacted(["abx-tune", "storage.url=postgresql://ada:swordfish@host/db"])
    ['abx-tune', 'storage.url=postgresql://ada:***@host/db']
    >>> redacted({"password": "swordfish", "port": 5432})
    {'password': '***', 'port': 5432}
    """
    if isinstance(value, str):
        return _IN_SETTING.sub(rf"\1{_HIDDEN}", _IN_ADDRESS.sub(rf"\1:{_HIDDEN}@", value))
    if isinstance(value, Mapping):
        return {
            key: _HIDDEN if isinstance(item, str) and is_secret_name(str(key)) else redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return value


def redacted_yaml(text: str) -> str:
    r"""Return a text of YAML, or a part of one, without its secrets.

    >>> redacted_yaml("storage:\n  password: swordfish\n  url: x://ada:swordfish@host")
    'storage:\n  password: ***\n  url: x://ada:***@host'
    """
    return _IN_YAML.sub(rf"\1{_HIDDEN}", str(redacted(text)))


def refuse_secrets(overrides: Iterable[str]) -> None:
    """Refuse a command line that holds a password.

    Raises:
        InputError: naming the key, never the value.
    """
    for override in overrides:
        if holds_secret(override):
            raise InputError(_refusal(override.partition("=")[0].lstrip("+~") or "an argument"))


def refuse_secret_values(config: Any, key: str = "") -> None:
    """Refuse a resolved configuration that holds a password.

    Raises:
        InputError: naming the key, never the value.
    """
    if isinstance(config, Mapping):
        for name, value in config.items():
            inner = f"{key}.{name}" if key else str(name)
            if isinstance(value, str) and value and is_secret_name(str(name)):
                raise InputError(_refusal(inner))
            refuse_secret_values(value, inner)
    elif isinstance(config, list | tuple):
        for value in config:
            refuse_secret_values(value, key)
    elif isinstance(config, str) and holds_secret(config):
        raise InputError(_refusal(key))


def _refusal(key: str) -> str:
    return (
        f"{key} may not hold a password: a command line and a configuration are public, and every "
        "run keeps both; take it out, and export ABX_STORAGE_URL=postgresql://USER:PASSWORD@HOST/"
        "DATABASE (with storage=url), or PG_PASSWORD (with storage=postgres)"
    )
