"""The program, its libraries and the routines that it needs become one module: `link.link`."""
