"""`python -m escada`: as the command `escada`, without the working folder on the module path.

Python puts the working folder first, so that a `numpy.py` in a folder of somebody's runs would be
imported in place of NumPy.
"""

import os
import sys

import escada

if __name__ == "__main__":
    here = os.getcwd()  # noqa: PTH109 as Python itself writes it
    ours = os.path.dirname(os.path.dirname(os.path.abspath(escada.__file__)))  # noqa: PTH100, PTH120
    if not sys.flags.safe_path and sys.path[0] in ("", here) and here != ours:
        del sys.path[0]

    from escada.cli import main

    main()
