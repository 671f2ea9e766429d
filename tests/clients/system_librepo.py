"""Downloads a repository with librepo; run by the system's Python, prints JSON.

usage: system_librepo.py DESTINATION BASE-URL [KEY-FILE]    every record; BASE/repodata/
With a key file the pointer's detached signature has to be by that key.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import librepo


def download(destination: str, base: str, key_file: str = "") -> dict[str, Any]:
    handle = librepo.Handle()
    handle.repotype = librepo.LR_YUMREPO
    handle.urls = [base]
    handle.destdir = destination
    handle.checksum = True
    if key_file:
        import gpg

        handle.gpgcheck = True
        handle.gnupghomedir = os.path.join(destination, "gnupg")
        os.mkdir(handle.gnupghomedir, 0o700)
        with gpg.Context(home_dir=handle.gnupghomedir) as context, open(key_file, "rb") as key:
            context.key_import(key.read())
    result = librepo.Result()
    try:
        handle.perform(result)
    except librepo.LibrepoException as refusal:
        return {"refused": str(refusal.args[1])}
    records = {kind: told for kind, told in result.yum_repomd.items() if isinstance(told, dict)}
    return {
        "revision": result.yum_repomd["revision"],
        "records": records,
        "fetched": {kind: path for kind, path in result.yum_repo.items() if kind in records},
    }


if __name__ == "__main__":
    print(json.dumps(download(*sys.argv[1:])))
