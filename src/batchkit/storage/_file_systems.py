"""Which file systems a storage may lie on."""

from __future__ import annotations

from pathlib import Path

from batchkit._errors import StorageError

#: File systems on which locks and shared memory do not work between machines.
NETWORK_FILE_SYSTEMS = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "fuse.sshfs", "glusterfs", "lustre"}
)


def refuse_network_file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> None:
    """Refuses places where SQLite's write-ahead log would corrupt data.

    Source: sqlite.org/wal.html, "WAL does not work over a network filesystem".

    Raises:
        StorageError: the path lies on a network file system.
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        # No such list on this system: SQLite itself is the judge.
        return
    best, kind = "", ""
    for line in lines:
        fields = line.split()
        # Spaces and the like are written as octal escapes there.
        mount = fields[1].encode().decode("unicode_escape") if len(fields) > 2 else ""
        inside = str(path) == mount or str(path).startswith(mount.rstrip("/") + "/")
        if mount and inside and len(mount) >= len(best):
            best, kind = mount, fields[2]
    if kind in NETWORK_FILE_SYSTEMS:
        raise StorageError(
            f"{path} is on a network file system ({kind}), where a database cannot be shared "
            "safely: put it on a local disk with storage=..."
        )
