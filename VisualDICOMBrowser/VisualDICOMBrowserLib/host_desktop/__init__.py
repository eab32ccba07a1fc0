"""The desktop program: Qt through PySide6, and the main window."""
