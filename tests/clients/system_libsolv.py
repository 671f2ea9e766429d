"""Loads a repository folder into libsolv; run by the system's Python, prints JSON.

usage: system_libsolv.py FOLDER [WANTED]    loads, and resolves the installation of WANTED
       system_libsolv.py --compare          orders pairs of versions, JSON on standard input
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any
from xml.etree import ElementTree

import solv

KINDS = (("primary", None), ("filelists", "FL"), ("other", "other"))


def empty_pool() -> Any:
    pool = solv.Pool()
    pool.setdisttype(solv.Pool.DISTTYPE_RPM)
    pool.setarch("x86_64")
    return pool


def records(repo: Any, kinds: list[str]) -> dict[str, tuple[str, str]]:
    """What libsolv understood of the pointer: href and checksum of each record."""
    found = {}
    for kind in kinds:
        search = repo.Dataiterator_meta(
            solv.REPOSITORY_REPOMD_TYPE, kind, solv.Dataiterator.SEARCH_STRING
        )
        search.prepend_keyname(solv.REPOSITORY_REPOMD)
        for hit in search:
            parent = hit.parentpos()
            checksum = parent.lookup_checksum(solv.REPOSITORY_REPOMD_CHECKSUM)
            href = parent.lookup_str(solv.REPOSITORY_REPOMD_LOCATION)
            assert checksum is not None, f"{kind}: no checksum that libsolv knows"
            found[kind] = (href, f"{checksum.typestr()}:{checksum.hex()}")
    return found


def load(pool: Any, folder: str) -> tuple[Any, dict[str, tuple[str, str]]]:
    repo = pool.add_repo("index")
    path = os.path.join(folder, "repodata/repomd.xml")
    with open(path) as file:
        pointer = solv.xfopen_fd(None, os.dup(file.fileno()))
        assert repo.add_repomdxml(pointer, 0), pool.errstr
    found = records(repo, [str(each.get("type")) for each in ElementTree.parse(path).getroot()])
    for kind, language in KINDS:
        content = solv.xfopen(os.path.join(folder, found[kind][0]))
        assert content, f"{kind}: cannot be opened"
        flags = 0 if language is None else solv.Repo.REPO_EXTEND_SOLVABLES
        before = repo.nsolvables
        assert repo.add_rpmmd(content, language, flags), f"{kind}: {pool.errstr}"
        assert language is None or repo.nsolvables == before, f"{kind}: adds packages"
    pool.addfileprovides()
    pool.createwhatprovides()
    return repo, found


def package(solvable: Any) -> list[Any]:
    checksum = solvable.lookup_checksum(solv.SOLVABLE_CHECKSUM)
    return [
        solvable.name,
        solvable.evr,
        solvable.arch,
        solvable.lookup_location()[0],
        f"{checksum.typestr()}:{checksum.hex()}" if checksum else None,
        solvable.lookup_num(solv.SOLVABLE_DOWNLOADSIZE),
    ]


def resolve(pool: Any, wanted: str) -> dict[str, Any]:
    known = solv.Selection.SELECTION_NAME | solv.Selection.SELECTION_PROVIDES
    flags = known | solv.Selection.SELECTION_REL
    jobs = pool.select(wanted, flags).jobs(solv.Job.SOLVER_INSTALL)
    assert jobs, f"nothing is {wanted}"
    solver = pool.Solver()
    problems = [str(problem) for problem in solver.solve(jobs)]
    chosen = {} if problems else solver.transaction().newsolvables()
    return {"problems": problems, "chosen": {each.name: each.evr for each in chosen}}


def compare(pairs: list[list[str]]) -> list[int]:
    pool = empty_pool()  # what it makes lives as long as it does
    repo = pool.add_repo("versions")

    def solvable(evr: str) -> Any:
        made = repo.add_solvable()
        made.name, made.evr = "demo", evr
        return made

    return [solvable(one).evrcmp(solvable(two)) for one, two in pairs]


def main(words: list[str]) -> Any:
    if words == ["--compare"]:
        return compare(json.load(sys.stdin))
    pool = empty_pool()
    repo, found = load(pool, words[0])
    told: dict[str, Any] = {
        "revision": repo.meta.lookup_str(solv.REPOSITORY_REVISION),
        "records": found,
        "packages": [package(each) for each in repo.solvables_iter()],
    }
    return told | (resolve(pool, words[1]) if words[1:] else {})


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1:])))
