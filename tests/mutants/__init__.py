"""Step programs with one step changed: the check has to tell each one."""
