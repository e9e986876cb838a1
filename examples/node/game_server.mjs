// A game server: two players hold up a hand, and the maze tells them where to go.
//
//   npm ci && node game_server.mjs [redis://127.0.0.1:6379] [ticks]

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Backpressure, FrameProducer, SendError } from "gesture-maze";

const url = process.argv[2] ?? "redis://127.0.0.1:6379";
const ticks = Number(process.argv[3] ?? 30);
const hands = JSON.parse(readFileSync(new URL("../hands.json", import.meta.url), "utf8"));
const players = { "node-1": hands.like, "node-2": hands.four };

const producer = new FrameProducer({ url });
// subscribe before the first frame, or the first reply may be missed
const replies = await producer.actions(...Object.keys(players));

let sent = 0;
let received = 0;
const listening = (async () => {
  for await (const { session, seq, gesture, confidence, action, move, synthetic } of replies) {
    if (!synthetic) received += 1;
    console.log(`${session} #${seq}: ${gesture} (${confidence}), action ${action}, move ${move}`);
  }
})();

// all players of a tick in one send, 30 ticks a second; seq and t come from the clock
for (let tick = 0; tick < ticks; tick++) {
  const frames = Object.entries(players).map(([session, landmarks]) => ({ session, landmarks, aspect: 4 / 3 }));
  try {
    await producer.sendTick(frames);
    sent += frames.length;
  } catch (error) {
    if (!(error instanceof SendError)) throw error;
    sent += frames.length - error.frames.length;
    console.error(error instanceof Backpressure ? `too fast: ${error.message}` : error.message);
  }
  await sleep(33);
}

for (let waits = 0; received < sent && waits < 60; waits++) await sleep(50);
console.log(`${received} of ${sent} frames answered`);
await producer.close();
await listening;
