"""The companions of a project in a copy: all its documents but its pages."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from pyramid_pypi.following import projects
from pyramid_pypi.following.findings import shadowed
from pyramid_pypi.following.replica import Replica
from pyramid_pypi.formats.hash_tree import Entry
from pyramid_pypi.storage.tree import SHADOWS

_ROOMS = ("projects", "pypi", "simple")


def take_companions(replica: Replica, name: str, entry: Entry) -> set[str]:
    """Have the companions of the project `name` in their places; return their paths.

    Raises:
        SourceUnreadable: one is not to be had.
        ManifestUnreadable: the manifest that `entry` names is none.
        OSError: one cannot be written.
    """
    path = projects.manifest_path(name)
    content = replica.fetched(shadowed(path, entry.sha256, entry.size_bytes))
    known = projects.parsed_manifest(name, content)
    for named in projects.listed_documents(known):
        replica.take(named)
    replica.put(path, content)
    return {path, *known.documents}


def remove_companions(replica: Replica, name: str, *, keeping: Collection[str]) -> None:
    """Remove the companions of the project `name` that are not among `keeping`.

    What stands, and not what a manifest in the copy lists: nobody vouches for that.

    Raises:
        SourceUnreadable: a symbolic link leads out of the folder.
        OSError: one cannot be removed.
    """
    for path in set(_standing(replica, name)).difference(keeping):
        replica.tree.retire(path)


def _standing(replica: Replica, name: str) -> Iterator[str]:
    """Yield the companions that stand, superseded versions apart."""
    for room in _ROOMS:
        folder = f"{room}/{name}"
        for path in replica.folder.files(folder):
            is_shadow = SHADOWS in path.removeprefix(f"{folder}/").split("/")[:-1]
            if not is_shadow and (room != "simple" or path.endswith(".xml.gz")):
                yield path
