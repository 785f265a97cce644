"""One name per repository, whichever machine and protocol it was cloned with."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from raingauge.contracts.otlp.attributes import TEXT_MAX_CHARACTERS, Attributes, text

_URL: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.\-]*)://(?:[^/]*@)?(?P<host>[^/:@]*)(?::\d*)?/(?P<path>.*)", re.DOTALL
)
_SCP: Final = re.compile(r"(?:[^/@:]+@)?[\w.\-]{2,}:(?P<path>[^\\]*)")
_LOCAL: Final = re.compile(r"[a-z]:|[/\\~.]|file:")
_NAME: Final = re.compile(r"[\w.\-]+(?:/[\w.\-]+)*")


@lru_cache(maxsize=4096)
def normalised(remote: str) -> str:
    """`owner/name` in lower case of a remote URL or a plain name; empty for a local path or anything else.

    Scheme, host, credentials, port, query, fragment and `.git` are cut, so https and ssh clones are one repository.
    """
    found = remote.strip().lower()
    if match := _URL.fullmatch(found):
        if match["scheme"] == "file" or not match["host"]:
            return ""
        path = match["path"]
    elif _LOCAL.match(found):
        return ""
    elif match := _SCP.fullmatch(found):
        path = match["path"]
    else:
        path = found
    path = re.split(r"[?#]", path, maxsplit=1)[0].strip("/").removesuffix(".git")
    return path[:TEXT_MAX_CHARACTERS] if _NAME.fullmatch(path) and ".." not in path else ""


def repository_of(attributes: Attributes, configured: str) -> str:
    """The repository a record belongs to: the operator's attribute, else owner and name, else the remote's URL."""
    if configured and (found := normalised(text(attributes.get(configured)))):
        return found
    name = text(attributes.get("vcs.repository.name"))
    owner = text(attributes.get("vcs.owner.name"))
    if name and owner and (found := normalised(name if name.startswith(f"{owner}/") else f"{owner}/{name}")):
        return found
    url = attributes.get("vcs.repository.url.full")
    if isinstance(url, str) and (found := normalised(url)):
        return found
    return normalised(name) if name else ""
