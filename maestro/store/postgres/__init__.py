"""The systems' stores in a PostgreSQL database: the truth is there, and each owner reads a copy of its own rows.

    system's process                                PostgreSQL
    commit ──> copy (SQLite, private, temporary)    maestro.systems   id, epoch, life, number
           └─> queue ── one guarded statement ────> maestro.records   system, tbl, key, body, crc
    reads  <── copy

Needs the extra `postgresql`. May import what `maestro.store` may; `maestro.store.door` imports it when it is needed.
"""
