"""wusa.exe: update packages (``.msu``).

Source: Microsoft, "Windows Update Standalone Installer" (KB934307). It ends with statuses of
the Windows Update Agent beside 0 and 3010.
"""


def install_arguments(file: str) -> list[str]:
    """Return the command that installs an update; nobody is asked, nothing restarts."""
    return ["wusa.exe", file, "/quiet", "/norestart"]


def remove_arguments(article: int) -> list[str]:
    """Return the command that removes the update of this knowledge base article."""
    return ["wusa.exe", "/uninstall", f"/kb:{article}", "/quiet", "/norestart"]
