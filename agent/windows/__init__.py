"""The agent's Windows side: signs, installers, services, power and inventory.

Everything goes through programs of Windows (``agent.commands.windows``), so that the same calls
run where something else runs these programs. ``registry``, ``file_version``, ``msi_log``,
``scheduled_task`` and ``exit_codes`` are pure.
"""
