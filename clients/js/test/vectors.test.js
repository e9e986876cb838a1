// The wire in JavaScript against the vectors that every client can check itself with.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { GESTURES, actionsChannel, checkFrame, crc32, fromMediapipe, pack, parseReply, partitionOf, unpack } from "../src/wire.js";

const folder = process.env.VECTORS ?? new URL("../../../tests/vectors/", import.meta.url).pathname;
// seq and t go up to 2**63-1, which JSON.parse would round
const exact = (text) => text.replace(/"(seq|t)": (-?\d{16,})/g, '"$1": "bigint:$2"');
const revive = (_, value) => (typeof value === "string" && value.startsWith("bigint:") ? BigInt(value.slice(7)) : value);
const cases = (name) => JSON.parse(exact(readFileSync(`${folder}/${name}.json`, "utf8")), revive).cases;
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"));

for (const { name, frames, packed, compact } of cases("frames")) {
  test(`pack: ${name}`, () => {
    const { s, m, l } = pack(frames);
    assert.deepEqual([hex(s), hex(m), hex(l)], [packed.s, packed.m, packed.l]);
  });

  test(`pack compact: ${name}`, () => {
    const { s, m, l, c } = pack(frames, { compact: true });
    assert.deepEqual([hex(s), hex(m)], [packed.s, packed.m]);
    if (compact === null) assert.equal(hex(l), packed.l);
    else assert.equal(hex(c), compact);
  });

  test(`unpack: ${name}`, () => {
    const found = unpack({ s: bytes(packed.s), m: bytes(packed.m), l: bytes(packed.l) });
    assert.deepEqual(pack(found), pack(frames));
    assert.deepEqual(
      found.map((frame) => [frame.session, frame.seq, frame.t, frame.hand, frame.mirrored]),
      frames.map((frame) => [frame.session, BigInt(frame.seq), BigInt(frame.t), frame.hand ?? null, frame.mirrored ?? false]),
    );
    if (compact === null) return;
    const again = pack(unpack({ s: bytes(packed.s), m: bytes(packed.m), c: bytes(compact) }), { compact: true });
    assert.equal(hex(again.c), compact);
  });
}

for (const { name, frames, o } of cases("settings")) {
  test(`settings: ${name}`, () => {
    assert.deepEqual(JSON.parse(pack(frames).o), JSON.parse(o));
    assert.equal(pack(frames.map(({ settings, ...frame }) => frame)).o, undefined);
  });
}

for (const { name, reason, json, fields } of cases("rejects")) {
  test(`reject: ${name}`, () => {
    if (json === undefined) {
      if (["bad_length", "unknown_encoding"].includes(reason)) {
        if (!("m" in fields)) return;
        const parts = Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, bytes(value)]));
        assert.throws(() => unpack(parts), { reason });
      }
      return;
    }
    let frame;
    try {
      frame = JSON.parse(exact(json), revive);
    } catch {
      return; // not JSON
    }
    if (reason !== "bad_json") assert.throws(() => checkFrame(frame), { name: "FrameError", reason });
  });
}

test("partitions", () => {
  for (const { session, crc32: crc, partition } of cases("partitions")) {
    assert.equal(crc32(session), crc);
    for (const [count, wanted] of Object.entries(partition)) assert.equal(partitionOf(session, Number(count)), wanted);
  }
});

test("replies and channels", () => {
  for (const { channel, bytes: text, value } of cases("replies")) {
    assert.deepEqual(parseReply(text), value);
    assert.equal(actionsChannel(partitionOf(value.session, 16), value.session), channel);
  }
  for (const text of ["", "17", "null", "{}", '{"v":2}', "nonsense"]) assert.equal(parseReply(text), null);
});

const HAND = Array.from({ length: 21 }, (_, i) => ({ x: i / 21, y: i / 42, z: -i / 100 }));

test("results of MediaPipe become frames", () => {
  const options = { imageSize: [640, 480] };
  const tasks = { landmarks: [HAND], handedness: [[{ categoryName: "Left" }]] };
  const legacy = { multiHandLandmarks: [HAND], multiHandedness: [{ label: "Left" }] };
  assert.equal(fromMediapipe(tasks, options).hand, "left");
  assert.equal(fromMediapipe(tasks, { ...options, mirrored: true }).hand, "right");
  assert.equal(fromMediapipe(legacy, options).hand, "right");
  assert.equal(fromMediapipe(legacy, { ...options, mirrored: true }).hand, "left");
  assert.equal(fromMediapipe(legacy, { ...options, labelOfMirrored: false }).hand, "left");
  const frame = { session: "p1", seq: 1, t: 2, ...fromMediapipe(tasks, options) };
  assert.deepEqual(pack([frame]).l, pack([{ ...frame, landmarks: HAND.map(({ x, y, z }) => [x, y, z]) }]).l);
  for (const nothing of [{ landmarks: [] }, { multiHandLandmarks: [] }, null, undefined]) assert.deepEqual(fromMediapipe(nothing, options).landmarks, []);
  assert.throws(() => fromMediapipe({ hands: [] }, options), { reason: "bad_landmarks" });
});

test("what is no image size, and Holistic results, are refused with the remedy", () => {
  for (const imageSize of [undefined, [640], "640x480", [640, 480, 3], [0, 480]])
    assert.throws(() => fromMediapipe({ landmarks: [HAND] }, { imageSize }), { reason: "bad_aspect", message: /imageSize must be \[width, height\]/ });
  assert.throws(() => fromMediapipe({ landmarks: [HAND] }), { reason: "bad_aspect" });
  assert.throws(() => fromMediapipe({ rightHandLandmarks: HAND }, { imageSize: [4, 3] }), /Holistic/);
});

test("a key that no frame has is refused, and long values are cut", () => {
  const frame = { session: "p1", seq: 1, t: 2 };
  for (const wrong of [{ landmark: [] }, { capturedMs: 5 }, { image_size: [1, 2] }])
    assert.throws(() => checkFrame({ ...frame, ...wrong }), new RegExp(`no key ${Object.keys(wrong)[0]}; it has session, seq`));
  assert.throws(() => checkFrame({ ...frame, session: "x".repeat(300) }), (error) => error.message.length < 160);
});

test("the gestures are those of the bundled model", () => {
  const source = readFileSync(`${folder}/../../gesture_maze/wire/gestures.py`, "utf8");
  assert.deepEqual(GESTURES, /^GESTURES.*?\(([^)]*)\)/ms.exec(source)[1].match(/\w+/g));
});
