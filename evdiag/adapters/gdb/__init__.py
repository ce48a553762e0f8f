"""Values of variables from gdb, the only adapter that starts a debugger."""
