"""Shutting an installed system down while people may be using it: ask, wait, then act.

    begin ──nothing in the way──────────────────────────────> leave
      │ somebody is logged in, an inhibitor, an update            ▲
      ▼                                                           │
   waiting ──they are gone, and no postponement runs──────────────┤
      │  ▲                                                        │
      │  └── postponed by a person, not beyond the policy's end   │
      │ the time is over                                          │
      ├── at_end: force ──> countdown, told to all ───────────────┘
      └── at_end: give-up ──> the system stays; the server hears why

``polite`` is that machine, pure. ``blockers`` looks at what is in the way, ``control`` is how a
person answers (``rackwright-agent postpone``), ``pending`` is the thread that drives it and tells
the server.
"""
