// A producer against a server that fails on request.

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Backpressure, ConnectionLost, FrameProducer, ProducerClosed, SendLost, SendRefused, SettingsError } from "../src/index.js";
import { fakeRedis } from "./fake_redis.js";

let redis;
let producer;
const warnings = [];
const HAND = Array.from({ length: 21 }, (_, i) => [i / 21, i / 42, 0]);
const frame = (session, more = {}) => ({ session, landmarks: HAND, aspect: 4 / 3, ...more });
const make = (options = {}) => (producer = new FrameProducer({ url: redis.url, timeoutMs: 300, onWarning: (text) => warnings.push(text), ...options }));
const reply = (session, seq, move = null) =>
  JSON.stringify({ v: 1, session, seq, t: 5, gesture: "like", label: 16, confidence: 0.9, action: "up", move, model: "m" });

beforeEach(async () => {
  redis = await fakeRedis();
  warnings.length = 0;
});
afterEach(async () => {
  await producer?.close();
  await redis.close();
});

test("a tick is one entry per partition, numbered from the clock", async () => {
  make();
  const before = Date.now();
  await producer.sendTick([frame("p1"), frame("p2"), frame("p1")]);
  assert.equal(redis.added.length, 2);
  const [, key, id, s, sessions, m, meta, l] = redis.added.find((words) => words[4] === "p1 p1");
  assert.deepEqual([key, id, s, m, l, sessions], ["frames:{3}", "*", "s", "m", "l", "p1 p1"]);
  const seqs = [0, 24].map((at) => Number(Buffer.from(meta, "latin1").readBigUInt64LE(at)));
  assert.ok(seqs[0] >= before && seqs[1] > seqs[0]);
});

test("a refused connection is reported by its cause", async () => {
  await redis.close();
  make({ retries: 0, timeoutMs: 5000 });
  await assert.rejects(producer.send(frame("p1")), (error) => error instanceof SendLost && /ECONNREFUSED/.test(error.message));
  await assert.rejects(producer.actions("p1"), /ECONNREFUSED/);
  redis = await fakeRedis();
});

test("landmarks are compact where the topology says so", async () => {
  redis.topology[2] = "1";
  make();
  await producer.send(frame("p1"));
  assert.deepEqual([redis.added[0][7], redis.added[0][8].length], ["c", 84]);
});

test("a producer without a number writes no topology and waits for a pool", async () => {
  redis.topology = [null, null, null];
  make();
  await assert.rejects(producer.send(frame("p1")), (error) => error instanceof SendLost && error.reason === "no_pool" && !error.sent);
  assert.deepEqual(redis.topology, [null, null, null]);
  setTimeout(() => (redis.topology = ["1", "64", null]), 100);
  assert.equal(await producer.connect(), 64);
});

test("a producer with a number writes it into an empty Redis", async () => {
  redis.topology = [null, null, null];
  assert.equal(await make({ partitions: 4 }).connect(), 4);
  assert.deepEqual(redis.topology.slice(0, 2), ["1", "4"]);
});

test("another topology is an error", async () => {
  redis.topology = ["1", "8", null];
  await assert.rejects(make({ partitions: 16 }).connect(), SettingsError);
  redis.topology = ["2", "8", null];
  await assert.rejects(make().connect(), /wire version 2/);
  assert.throws(() => make({ partitions: 17 }), SettingsError);
  assert.throws(() => make({ partition: 16 }), /unknown options partition/);
});

test("a lost answer is tried again with the same frames", async () => {
  make();
  await producer.connect();
  redis.cut = 1;
  await producer.send(frame("p1"));
  assert.equal(redis.added.length, 2);
  assert.deepEqual(redis.added[0], redis.added[1]);
});

test("after the last try the fate of the frames is unknown", async () => {
  make({ retries: 1 });
  await producer.connect();
  redis.cut = 9;
  await assert.rejects(producer.sendTick([frame("p1")]), (error) => error instanceof SendLost && error.sent && error.frames[0].session === "p1" && error.frames[0].seq > 0);
  assert.equal(redis.added.length, 2);
});

test("out of memory is back-pressure at once and names the frames", async () => {
  make();
  redis.onAdd = (words) => (words[1] === "frames:{3}" ? new Error("OOM command not allowed") : "1-0");
  await assert.rejects(
    producer.sendTick([frame("p1"), frame("p2")]),
    (error) => error instanceof Backpressure && error.reason === "memory" && error.frames.length === 1 && error.frames[0].session === "p1",
  );
  assert.equal(redis.added.length, 2);
});

test("settings go with a session's first frame, and again after one that was not accepted", async () => {
  make();
  const settings = { repeat_ms: 500 };
  const carried = () => redis.added.map((words) => (words.includes("o") ? JSON.parse(words[words.indexOf("o") + 1]) : null));
  await producer.sendTick([frame("p1"), frame("p1", { settings })]);
  await producer.send(frame("p1"));
  assert.deepEqual(carried(), [{ 1: settings }, null]);
  redis.onAdd = () => new Error("OOM command not allowed");
  await assert.rejects(producer.send(frame("p1")), Backpressure);
  redis.onAdd = () => "1-0";
  await producer.send(frame("p1"));
  assert.deepEqual(carried().at(-1), { 0: settings });
});

test("a momentary refusal is waited out, and accepted entries are not sent again", async () => {
  make();
  let refusals = 2;
  redis.onAdd = (words) => (words[1] === "frames:{3}" && refusals-- > 0 ? new Error("NOREPLICAS Not enough good replicas to write.") : "1-0");
  await producer.sendTick([frame("p1"), frame("p2")]);
  assert.equal(redis.added.filter((words) => words[1] === "frames:{3}").length, 3);
  assert.equal(redis.added.filter((words) => words[1] !== "frames:{3}").length, 1);
});

test("a momentary refusal that lasts is reported as what it is", async () => {
  make({ retries: 0, timeoutMs: 5000 });
  redis.onAdd = () => new Error("MISCONF Redis is configured to save RDB snapshots");
  await assert.rejects(producer.send(frame("p1")), (error) => error instanceof SendRefused && error.reason === "misconfigured" && error.momentary);
});

test("a refusal for good is not tried again and names the key", async () => {
  make();
  redis.onAdd = () => new Error("WRONGTYPE Operation against a key holding the wrong kind of value");
  await assert.rejects(producer.send(frame("p1")), (error) => error instanceof SendRefused && error.reason === "wrong_type" && /XADD frames:\{3\}/.test(error.message));
  assert.equal(redis.added.length, 1);
});

test("a replica's answer makes it reconnect", async () => {
  make();
  let refusals = 1;
  redis.onAdd = () => (refusals-- > 0 ? new Error("READONLY You can't write against a read only replica.") : "1-0");
  await producer.send(frame("p1"));
  assert.equal(redis.added.length, 2);
});

test("a partition that is behind is refused until a fresh reading", async () => {
  make({ maxLag: 10, guardIntervalMs: 100 });
  redis.lag = 11;
  await producer.send(frame("p1"));
  await assert.rejects(producer.send(frame("p1")), (error) => error instanceof Backpressure && error.reason === "lag");
  assert.equal(redis.added.length, 1);
  redis.lag = 0;
  await sleep(120);
  await producer.send(frame("p1"));
  assert.equal(redis.added.length, 2);
});

test("a bad frame sends nothing of its tick", async () => {
  make();
  await assert.rejects(producer.sendTick([frame("p1"), frame("p 2")]), { reason: "bad_session" });
  assert.equal(redis.added.length, 0);
});

test("no server at all", async () => {
  make({ url: "redis://127.0.0.1:1", retries: 0 });
  await assert.rejects(producer.send(frame("p1")), (error) => error instanceof SendLost && !error.sent);
  await assert.rejects(producer.actions("p1"), ConnectionLost);
});

test("frames that all end as duplicates are warned of once", async () => {
  make();
  for (let i = 0; i < 3; i++) {
    redis.outcomes[1] = String(30 * i);
    await producer.send(frame("p1", { seq: i }));
    await sleep(1020);
  }
  assert.equal(warnings.length, 1);
  assert.match(warnings[0], /p1 gets no replies: 30 frames .* duplicate .* leave seq out/);
});

test("inputs that can hardly be meant are warned of once", async () => {
  make();
  for (let i = 0; i < 2; i++) {
    await producer.send(frame("p1", { t: Math.round(Date.now() / 1000) }));
    await producer.send(frame("p1", { landmarks: Array(21).fill([0.5, 0.5]) }));
    await producer.send(frame("p1", { landmarks: HAND.map(([x, y]) => [x * 640, y * 480]) }));
    await producer.send(frame("p1", { landmarks: HAND.map(([x, y]) => [(x - 0.5) / 9, (y - 0.25) / 9]) }));
  }
  assert.deepEqual(warnings.map((text) => /seconds|same point|pixels|world/.exec(text)?.[0]), ["seconds", "same point", "pixels", "world"]);
});

test("replies arrive in order, each once, and survive a lost connection", async () => {
  make();
  const replies = await producer.actions("p1");
  const channel = "actions:{3}:p1";
  for (const seq of [1, 2, 2, 1, 3]) redis.publish(channel, reply("p1", seq));
  redis.publish(channel, "nonsense");
  const seqs = [];
  for (let i = 0; i < 3; i++) seqs.push((await replies.get(500)).seq);
  assert.deepEqual(seqs, [1, 2, 3]);
  redis.cutAll();
  while (redis.subscribed.get(channel)?.size) await sleep(1);
  while (!redis.subscribed.get(channel)?.size) await sleep(10);
  await sleep(50);
  redis.publish(channel, reply("p1", 4));
  assert.equal((await replies.get(500)).seq, 4);
  assert.equal(await replies.get(50), null);
});

test("a tick names the reply channel of the only listener to all its sessions", async () => {
  make();
  const replies = await producer.actions("p1", "p7");
  await producer.sendTick([frame("p1"), frame("p1")]);
  await producer.send(frame("p1"));
  await producer.sendTick([frame("p2"), frame("p2")]);
  assert.deepEqual(redis.added.map((words) => words.slice(9)), [["r", replies.replyTo], [], []]);
  const channel = `actions:{3}:@${replies.replyTo}`;
  redis.publish(channel, `[${reply("p1", 5)},{"v":1},${reply("p2", 9)},${reply("p1", 6)}]`);
  redis.publish(channel, "nonsense");
  assert.deepEqual([(await replies.get(500)).seq, (await replies.get(500)).seq], [5, 6]);
  assert.equal(await replies.get(20), null);
  await producer.actions("p1");
  await producer.sendTick([frame("p1"), frame("p1")]);
  assert.deepEqual(redis.added.at(-1).slice(9), []);
});

test("a held move ends with a stop where replies cease", async () => {
  make({ releaseMs: 50 });
  const replies = await producer.actions("p1");
  redis.publish("actions:{3}:p1", reply("p1", 1, "up"));
  assert.equal((await replies.get(500)).move, "up");
  const stop = await replies.get(500);
  assert.deepEqual([stop.move, stop.synthetic, stop.seq], ["stop", true, 1]);
  assert.equal(await replies.get(300), null);
});

test("closing ends the iteration", async () => {
  make();
  const replies = await producer.actions("p1");
  setTimeout(() => replies.close(), 50);
  for await (const _ of replies) assert.fail("no reply was sent");
});

test("a closed producer raises instead of connecting again", async () => {
  make();
  const replies = await producer.actions("p1");
  await producer.close();
  for (const late of [() => producer.send(frame("p1")), () => producer.connect(), () => producer.actions("p2"), () => replies.subscribe("p2")])
    await assert.rejects(late(), ProducerClosed);
  assert.equal(redis.added.length, 0);
});

test("wrong calls name the right ones", async () => {
  assert.throws(() => new FrameProducer("redis://127.0.0.1:6379"), /pass \{ url: /);
  make();
  await assert.rejects(producer.sendTick(frame("p1")), /for one frame call send\(frame\)/);
  await assert.rejects(producer.send([frame("p1")]), /for several frames call sendTick\(frames\)/);
  await assert.rejects(producer.sendTick(frame("p1", { seq: 5n })), /for one frame call send\(frame\)/);
  await assert.rejects(producer.send(frame(5n)), { reason: "bad_session" });
});

test("finer times and gestures that the model does not know are warned of", async () => {
  make();
  await producer.send(frame("p1", { t: Date.now() * 1000, settings: { actions: { thumbsup: "up" } } }));
  assert.equal(warnings.length, 2);
  assert.match(warnings[0], /looks like microseconds/);
  assert.match(warnings[1], /gestures thumbsup, which/);
});
