"""Synchronises folders of this computer, of FTP and SFTP servers and of S3 buckets.

The package is a drop-in replacement for pyftpsync 3.1 and 4.1: the same module names, classes, hooks,
options, output and metadata files, around a core written in Rust (`ftpsync._core`). Start with
`ftpsync.sync()`, with `ftpsync.targets.make_target` and the three classes in `ftpsync.synchronizers`, or with
the command `pyftpsync --help`.
"""

# Type checkers know the name. To import it takes long, and who presses Ctrl+C meanwhile would see where.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ftpsync._sync import SyncEntry, SyncResult, sync

__all__ = ["SyncEntry", "SyncResult", "__version__", "sync"]

#: Version of this package.
__version__ = "5.0.0"

#: The release of pyftpsync whose documented behaviour this version reproduces.
__compat_version__ = "4.1.0"

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Loads what is only needed by those who use it."""
        if name in __all__:
            from ftpsync import _sync

            return getattr(_sync, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
