"""The kinds of job that need nothing but the device, one a file; `registry` has all of them."""
