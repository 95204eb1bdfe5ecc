"""What was measured, and how sure it is.

`alternation` times several systems in turn, so that all of them see the same machine; `environment`
says what that machine was; `result` holds both as one schema, `result_file` writes and reads it;
`ratios` and `comparison` say how much faster one system is than another, with an interval. The
modules that run beside a measured system (`alternation`, `result`) import the standard library
alone, so that its peak of memory is its own. `float32_error` says how exact a step can be.
"""
