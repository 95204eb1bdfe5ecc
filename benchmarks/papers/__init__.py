"""The experiments of the papers on decoupled networks, each as one command.

`data` and `networks` say what is learned by what, `prepared` trains the start and cuts it by class,
`device` trains an exported file under LiteRT, `learning` lets devices gossip by the gossip core and
judges every round, `heterofl` is the baseline of nested widths, `systems` are the competitors,
`experiments` the figures, `verdicts` what the papers claim, `report` the page.
"""
