"""Synchronises folders over FTP, FTPS and the local file system.

The package is a drop-in replacement for pyftpsync 3.1 and 4.1: the same module names, classes, hooks,
options, output and metadata files, around a core written in Rust (`ftpsync._core`). Start with
`ftpsync.targets.make_target` and the three classes in `ftpsync.synchronizers`, or with the command
`pyftpsync --help`.
"""

__all__ = ["__version__"]

#: Version of this package.
__version__ = "5.0.0"

#: The release of pyftpsync whose documented behaviour this version reproduces.
__compat_version__ = "4.1.0"
