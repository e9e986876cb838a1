"""`maze doctor --mend` on a real server; fakeredis has no XSETID."""

from __future__ import annotations

import pytest

from gesture_maze.ops.mending import mend
from gesture_maze.worker.redis.status import StatusReader
from tests.contract.conftest import Server
from tests.support.pool import PARTITIONS, STREAM, A, HandWorker, add, hand, joined, outcomes

FUTURE_ID = "10000000000000-0"


def test_stream_ahead_of_the_clock_is_mended_and_every_frame_is_accounted_for(real_server: Server) -> None:
    client = real_server.client
    worker = joined(client)
    add(client, hand(A, 1), entry_id=FUTURE_ID)
    add(client, hand(A, 2))
    assert [one.status for one in mend(client, PARTITIONS, pause=lambda _: None)] == ["error"]
    worker.work()
    (found,) = mend(client, PARTITIONS, pause=lambda _: worker.join())
    assert found.message == "Partition 1 begins again at the server's time."
    assert StatusReader(client).read().partitions[1].owner is not None
    assert mend(client, PARTITIONS) == []
    add(client, hand(A, 3))
    worker.work()
    assert outcomes(client, 1)["answered"] == 3
    status = StatusReader(client).read()
    assert status.all_accounted_for
    assert status.partitions[1].newest_ms <= status.server_ms
    assert client.xlen(STREAM) == 1
    HandWorker.close_all()


@pytest.mark.parametrize("read_at_once", [True, False])
def test_deleted_stream_once_mended_is_accounted_for(real_server: Server, read_at_once: bool) -> None:
    client = real_server.client
    worker = joined(client)
    for seq in range(3):
        add(client, hand(A, seq))
    worker.work()
    client.delete(STREAM)
    if not read_at_once:  # the owner notices that the stream is gone
        worker.keeper._next_survey_s = worker.loop._retention._next_sweep_s = 0.0
        worker.join()
        worker.work()
    add(client, hand(A, 10))
    assert StatusReader(client).read().partitions[1].lag <= 1
    worker.work()
    assert not StatusReader(client).read().all_accounted_for
    (found,) = mend(client, PARTITIONS, pause=lambda _: worker.join())
    assert (found.check, found.status) == ("counts", "ok")
    add(client, hand(A, 11))
    worker.work()
    assert outcomes(client, 1)["answered"] == 5
    assert StatusReader(client).read().all_accounted_for
    assert mend(client, PARTITIONS) == []
    HandWorker.close_all()
