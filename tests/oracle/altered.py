"""The command, or a script in its place, with an altered package.

`python altered.py repaired D1,D5 upload ...`: the reference without known defects, see `repairs.py`.
`python altered.py hooked upload ...`: synchronizers that override every hook, see `hooking.py`.
"""

import os
import runpy
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

if __name__ == "__main__":
    if sys.argv.pop(1) == "repaired":
        from repairs import repair

        repair(sys.argv.pop(1).split(","))
    else:
        from hooking import hook_everything

        hook_everything()
    if sys.argv[1:] and sys.argv[1].endswith(".py"):
        del sys.argv[0]
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        from ftpsync.pyftpsync import run

        sys.argv[0] = "pyftpsync"
        run()
