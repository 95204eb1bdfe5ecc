"""Pages and figures: one look for all reports.

`figures` says what a figure shows, as data; `drawing` draws it with matplotlib (extra `analysis`)
and `svg` fits the drawing into a page; `units` writes numbers and the ticks of axes; `page` puts
figures, their data and texts into one HTML file that needs nothing else.
"""
