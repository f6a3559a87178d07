"""The agent on a Windows of Wine's, with the Python that is made for Windows."""

import shutil
from pathlib import Path

import agent
from agent.config import AgentPackage
from providers.agent_package.windows_tree import make_windows_tree

CACHE = Path(".cache/agent-package").absolute()


def put_agent(windows, folder):
    """Put Python and the agent where they would be installed; return that folder."""
    source = Path(agent.__file__).parent
    make_windows_tree(CACHE, source, AgentPackage("0.0.0-1"), folder / "root")
    return shutil.copytree(folder / "root", windows.drive / "Program Files/Rackwright")
