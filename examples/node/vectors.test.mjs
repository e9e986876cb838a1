// The wire in JavaScript against the vectors that every client can check itself with: node --test

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { actionsChannel, crc32, pack, partitionOf } from "./wire.mjs";

const folder = process.env.VECTORS ?? new URL("../../tests/vectors/", import.meta.url).pathname;
// seq and t go up to 2**63-1, which JSON.parse would round
const exact = (text) => text.replace(/"(seq|t)": (-?\d+)/g, '"$1": "$2"');
const cases = (name) => JSON.parse(exact(readFileSync(`${folder}/${name}.json`, "utf8"))).cases;

for (const { name, frames, packed } of cases("frames")) {
  test(`pack: ${name}`, () => {
    const { s, m, l } = pack(frames);
    assert.deepEqual([Buffer.from(s).toString("hex"), m.toString("hex"), l.toString("hex")], Object.values(packed));
  });
}

test("partitions", () => {
  for (const { session, crc32: crc, partition } of cases("partitions")) {
    assert.equal(crc32(session), crc);
    for (const [count, wanted] of Object.entries(partition)) assert.equal(partitionOf(session, Number(count)), wanted);
  }
});

test("channels", () => {
  for (const { channel, value } of cases("replies")) {
    assert.equal(actionsChannel(partitionOf(value.session, 16), value.session), channel);
  }
});
