"""Who may use the device now, and the jobs that wait for it.

`decisions` is the one answer to "may this begin now"; `owner` lets threads wait for it. Calls from
outside, gossip runs and jobs all ask there: none looks first and acts later.
"""
