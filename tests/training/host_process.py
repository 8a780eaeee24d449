"""One of two processes that learn together.

``python -m tests.training.host_process INDEX PORT AGENT...``: the first compares the agents with
ones that learn alone, prints a line for each, waits for a line, makes one more update and says
which signal it has heard, waits again, and makes an update to which the other process does not come
any more. That one prints a digest of each agent's weights.
"""

import hashlib
import json
import os
import sys

from dreamer_tf.training import hosts, replicas
from dreamer_tf.training.stopping import StopSignals
from tests.training.replica_agents import (
    B,
    compare,
    make_agent,
    make_batch,
    make_config,
    weights,
)


def digest(agent):
    return hashlib.sha256(b"".join(weight.tobytes() for weight in weights(agent))).hexdigest()


def follow(config, found):
    """Prints the digest of each agent when the next one is made."""
    made = []

    def make(*args):
        if made:
            print(digest(made[-1]), flush=True)
        made.append(make_agent(*args))
        return made[-1]

    replicas.follow(config, found, make)


def main():
    """Compares, or follows."""
    index, port, *names = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
    addresses = [f"localhost:{port}", f"localhost:{port + 1}"]
    task = {"type": "worker", "index": index}
    os.environ["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
    config = make_config("planet")
    found = hosts.find_hosts(config)
    if not found.is_chief:
        follow(config, found)
        return
    with StopSignals(lambda text: None) as stop:
        lead(replicas.Team(config, found), names, stop)


def lead(team, names, stop):
    """Compares, and loses the other process."""
    for name in names:
        config = make_config(name)
        agent = make_agent(config)
        train_step = team.lead(agent, config, make_agent).train_step
        metric, row, weight = compare(make_agent(config), train_step, agent, 50)
        print(json.dumps([name, *metric, row, weight, digest(agent)]), flush=True)
    train_step = team.lead(agent, config, make_agent).train_step
    sys.stdin.readline()
    train_step(make_batch(0), agent.initial_carry(B))
    print(f"updated, and {stop.requested and stop.requested.name} was heard", flush=True)
    sys.stdin.readline()
    try:
        train_step(make_batch(0), agent.initial_carry(B))
    except hosts.ReplicaLostError as error:
        print(error, flush=True)


if __name__ == "__main__":
    main()
