"""Regression tests of a game, as a tester writes them."""

import pytest

from gesture_maze.producer import Frame
from gesture_maze.testing.hands import frames_of


@pytest.mark.maze_capture("captures/two_players.jsonl.gz", golden="captures/two_players.golden.jsonl")
def test_every_answer_is_as_it_was():
    """The marker compares the answers with the golden ones."""


@pytest.mark.maze_capture("captures/two_players.jsonl.gz")
def test_the_first_player_goes_up_and_the_second_to_the_right(maze_replay):
    assert set(maze_replay().moves_of("player-0")) == {"up", "stop"}
    assert set(maze_replay().moves_of("player-1")) == {"right", "stop"}


def test_a_threshold_is_about_actions_and_leaves_the_moves(maze_replay):
    usual = maze_replay("captures/two_players.jsonl.gz")
    strict = maze_replay("captures/two_players.jsonl.gz", threshold=1.0)
    assert len(strict.actions) <= len(usual.actions)
    assert [one.move for one in strict.moves] == [one.move for one in usual.moves]


def test_a_running_pool_answers(maze_pool):
    with maze_pool.producer.actions("me") as replies:
        maze_pool.producer.send(Frame("me", seq=1, captured_ms=0, landmarks=None))
        assert replies.get(timeout_s=5).gesture is None
    assert maze_pool.wait_for(1)["answered"] == 1


def test_a_real_server_is_there(maze_server):
    from redis import Redis

    with Redis.from_url(maze_server) as client:
        assert client.ping()


def test_a_held_like_moves_up_twice(maze_pool):
    with maze_pool.producer.actions("me") as replies:
        for frame in frames_of("like", "me", count=20):  # 33 ms apart by their captured_ms
            maze_pool.producer.send(frame)
        moves = [replies.get(timeout_s=5).move for _ in range(20)]
    assert [move for move in moves if move] == ["up", "up"]  # when it settles, and 400 ms later
