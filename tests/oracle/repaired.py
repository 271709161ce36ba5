"""The reference without known defects: `python repaired.py D1,D5 upload ...`, or a script in place of the command."""

import os
import runpy
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from repairs import repair

if __name__ == "__main__":
    repair(sys.argv.pop(1).split(","))
    if sys.argv[1:] and sys.argv[1].endswith(".py"):
        del sys.argv[0]
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        from ftpsync.pyftpsync import run

        sys.argv[0] = "pyftpsync"
        run()
