"""SWIM: who is there, found out by pings to one member at a time, with no coordinator.

`node.SwimNode` is the whole protocol of one member: events with the time in them go in, messages to
send and changes of the view come out. It owns no clock and no socket; chance is a generator that it
is given, so equal seeds give equal runs.

References:
  Das, Gupta, Motivala, "SWIM: scalable weakly-consistent infection-style process group membership
  protocol", DSN 2002.
  Dadgar, Phillips, Currey, "Lifeguard: local health awareness for more accurate failure detection",
  DSN-W 2018.
"""
