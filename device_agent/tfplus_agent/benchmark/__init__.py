"""The program that measures: one repetition a process, the same for a campaign here or elsewhere.

`process` reads what is asked, waits for the `gating`, and hands on to the kind of pass: `timing`,
`energy`, `operations`, `interference`. What runs beside a training is in `co_runners`.
"""
