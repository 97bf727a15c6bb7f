"""Which file system a path lies on: some lock reliably, some do not."""

from __future__ import annotations

import os
from pathlib import Path

NETWORK_FILE_SYSTEMS = (
    *("nfs", "nfs3", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph"),
    *("glusterfs", "afs", "panfs", "pvfs2", "orangefs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs"),
)


def network_file_system(path: Path, *, mounts: str | None = None) -> str | None:
    """Return the name of the network file system that `path` lies on, None where it is a local one.

    `mounts` is the text of /proc/mounts, read from there unless told.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8")
        except OSError:
            return None
    place = f"{os.path.realpath(path)}/"
    best, kind = -1, ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ").rstrip("/") + "/"
        if place.startswith(point) and len(point) >= best:
            best, kind = len(point), fields[2]
    return kind if kind.lower() in NETWORK_FILE_SYSTEMS else None
