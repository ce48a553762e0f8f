"""Runs inside gdb, after objects.py: makes values of the C++ library readable.

Our own printers come first; those of GNU's library know the rarer types. Both are taken from the
machine that gdb runs on. Never from the sysroot: that belongs to the crashed system, and printers
are programs.
"""

import glob
import os
import sys

import gdb

FOLDERS = ("/usr/share/gcc/python", "/usr/share/gcc-*/python", "/usr/local/share/gcc*/python")
"""Where GNU's compiler installs the printers of its C++ library."""


def load_gnu_printers():
    """Register GNU's printers, if they are there."""
    for pattern in FOLDERS:
        for folder in sorted(glob.glob(pattern), reverse=True):
            if os.path.isdir(os.path.join(folder, "libstdcxx")):
                sys.path.insert(0, folder)
                try:
                    from libstdcxx.v6 import printers

                    printers.register_libstdcxx_printers(None)
                    return
                except (ImportError, AttributeError, RuntimeError, gdb.error):
                    pass
                finally:
                    sys.path.remove(folder)


load_gnu_printers()
gdb.pretty_printers.insert(0, printer_for)  # of objects.py
