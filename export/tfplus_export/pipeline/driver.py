"""The stages of an export, in order, and what each one hands on."""

from __future__ import annotations

from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.system import garbage
from tfplus_export.pipeline import train_graph
from tfplus_export.pipeline.stages import stage
from tfplus_export.pipeline.stages.accelerate import Graphs, accelerated
from tfplus_export.pipeline.stages.compare import compared
from tfplus_export.pipeline.stages.describe import described
from tfplus_export.pipeline.stages.features import SharedGraph, shared_graphs
from tfplus_export.pipeline.stages.limits import within_limits
from tfplus_export.pipeline.stages.options import Progress
from tfplus_export.pipeline.stages.request import Request
from tfplus_export.pipeline.stages.samples import samples_of
from tfplus_export.tracing.checks import check_model
from tfplus_export.variants import inference


def run(asked: Request, progress: Progress) -> Artifact:
    """Exports a model, stage by stage as `stage.STAGES` names them.

    Args:
      asked: what to export.
      progress: told which stage is under way.

    Raises:
      ExportError: a stage refuses the model; nothing is written then.
    """
    with garbage.kept():
        return _run(asked, progress)


def _run(asked: Request, progress: Progress) -> Artifact:
    do, options, model = stage.Run(progress), asked.options, asked.model
    do(stage.CHECK, check_model, model)
    # What does not train is constant in the step, and in TensorFlow's that it is compared with.
    with options.freeze.applied(model):
        # Stages TRACE, CONVERT, SCHEDULE and FILL.
        graph = train_graph.build(asked.source, model, options, progress)
        limits = do(stage.LIMITS, within_limits, graph, options)
        samples = do(stage.SAMPLES, samples_of, asked, graph.step)
        measured = do(stage.COMPARE, compared, asked, graph, samples)
    graphs: Graphs = {}
    if options.accelerators:
        graphs = do(stage.ACCELERATE, accelerated, asked, graph)
    baked = None
    if options.bakeable:
        given = graph.step, graph.content, graph.values, options.seed
        baked = do(stage.BAKE, inference.build, *given)
    shared: tuple[SharedGraph, ...] = ()
    if asked.source.shared:
        shared = do(stage.FEATURES, shared_graphs, asked.source.shared, options)
    given = asked, graph, limits, samples, measured, graphs, shared
    manifest = do(stage.DESCRIBE, described, *given)
    contents = {name: one.content for name, one in graphs.items()}
    features = tuple(one.content for one in shared)
    written = asked.path, graph.content, manifest, contents, baked, features
    return do(stage.WRITE, artifact.write, *written)
