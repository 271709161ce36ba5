"""Makes `python -m ftpsync` the same as the command `pyftpsync`."""

from ftpsync.pyftpsync import run

if __name__ == "__main__":
    run()
