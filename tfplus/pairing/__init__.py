"""Pairing a device with a project's CA by a short code that a person reads off and types in.

```
device                                   desk
makes a key, shows a code                is given the code
            ←──────────── X ────────────  SPAKE2: a one-time key from the code
             ──────────── Y ───────────→
            ←── sealed: I know the code ─
             ── sealed: request ────────→ signs it with the CA's key
            ←── sealed: certificate, CA ─
             ── sealed: stored ─────────→
```

Whoever is on the wire can try one code a connection, and learns nothing that could be tried out
later (`channel`). Each side says what it holds only after the other showed that it knows the code,
and the desk shows it first: so a device counts what was tried, and ends after a few (`device`).
Importing this package's modules needs the extra `pair`.
"""
