"""Programs of Windows, one wrapper each; ``host`` says how they are started.

None of them reads words that Windows translates: exit statuses, numbers by their place,
files of the registry and XML say what happened.
"""
