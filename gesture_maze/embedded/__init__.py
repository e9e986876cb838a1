"""The bundled server, and child processes that end with their parent."""
