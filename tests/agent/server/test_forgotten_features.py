"""A sample that is forgotten on an agent: what frozen layers made of it goes, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.data.store.sample_store import Sample, SampleStore
from tfplus.errors import DataError
from tfplus.features.cache import FeatureCache
from tfplus.features.signature import keys
from tfplus.proto.v1 import samples_pb2 as pb
from tfplus_agent.jobs.owner import DeviceOwner
from tfplus_agent.server.samples_service import SamplesService

CONTEXT: Any = None


def test_features_go_with_their_samples(tmp_path: Path) -> None:
    store, folder = tmp_path / "samples.db", tmp_path / "features"
    x = np.arange(12, dtype=np.uint8).reshape(3, 4)
    with SampleStore(store, create=True) as made:
        ids = [a.id for a in made.add_all(Sample(row, i) for i, row in enumerate(x))]
    service = SamplesService(store, folder, DeviceOwner())
    cache = FeatureCache(folder, "maker", "conv", (2,))
    cache.add(keys(x), np.arange(6, dtype=np.float32).reshape(3, 2))
    cache.flush()
    request = pb.ForgetSamplesRequest(ids=[ids[1], 999])
    assert service.ForgetSamples(request, CONTEXT).forgotten == 1
    assert [row is None for row in cache.find(keys(x))] == [False, True, False]
    cache.close()
    for path in folder.glob("*.sqlite*"):
        path.write_bytes(b"no data base at all" * 100)
    with pytest.raises(DataError, match=r"cannot be removed.*still there"):
        service.ForgetSamples(pb.ForgetSamplesRequest(ids=ids[:1]), CONTEXT)
    with SampleStore(store) as left:
        assert left.count() == 2
