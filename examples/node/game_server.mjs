// A game server: two players hold up a hand, and the maze tells them where to go.
//
//   npm ci && node game_server.mjs [redis://127.0.0.1:6379] [ticks]

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "redis";
import { actionsChannel, framesKey, pack, partitionOf } from "./wire.mjs";

const url = process.argv[2] ?? "redis://127.0.0.1:6379";
const ticks = Number(process.argv[3] ?? 30);
const hands = JSON.parse(readFileSync(new URL("../hands.json", import.meta.url)));
const players = { "node-1": hands.like, "node-2": hands.four };

const redis = createClient({ url });
redis.on("error", (error) => console.error(`redis: ${error.message}`));
await redis.connect();

// whoever comes first writes the topology, all others take what is there
await redis.multi().hSetNX("maze:topology", "version", "1").hSetNX("maze:topology", "partitions", "16").exec();
const topology = await redis.hGetAll("maze:topology");
if (topology.version !== "1") throw new Error(`the pool speaks version ${topology.version} of the wire`);
const partitions = Number(topology.partitions);

// subscribe before the first frame, or the first reply may be missed
const replies = redis.duplicate();
replies.on("error", (error) => console.error(`redis: ${error.message}`));
await replies.connect();
const lastSeq = {};
let received = 0;
for (const session of Object.keys(players)) {
  await replies.subscribe(actionsChannel(partitionOf(session, partitions), session), (text) => {
    const reply = JSON.parse(text);
    if (reply.seq <= (lastSeq[session] ?? -1)) return; // late or repeated
    lastSeq[session] = reply.seq;
    received += 1;
    const seen = `${reply.gesture} (${reply.confidence})`;
    console.log(`${session} #${reply.seq}: ${seen}, action ${reply.action}, move ${reply.move}`);
  });
}

// one entry per partition and tick, 30 ticks a second
for (let seq = 1; seq <= ticks; seq++) {
  const byPartition = new Map();
  for (const [session, landmarks] of Object.entries(players)) {
    const frame = { session, seq, t: Date.now(), aspect: 4 / 3, landmarks };
    const partition = partitionOf(session, partitions);
    byPartition.set(partition, [...(byPartition.get(partition) ?? []), frame]);
  }
  await Promise.all([...byPartition].map(([p, frames]) => redis.xAdd(framesKey(p), "*", pack(frames))));
  await sleep(33);
}

const sent = ticks * Object.keys(players).length;
for (let waits = 0; received < sent && waits < 60; waits++) await sleep(50);
console.log(`${received} of ${sent} frames answered`);
await Promise.all([redis.close(), replies.close()]);
