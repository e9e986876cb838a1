// A server that speaks RESP2 as far as a producer needs it, and fails on request.

import { createServer } from "node:net";

/** @param {string} text */
function* commands(text) {
  // *2\r\n$4\r\nPING\r\n... ; latin1, so that a character is a byte
  let at = 0;
  while (text[at] === "*") {
    const begin = at;
    const line = text.indexOf("\r\n", at);
    if (line < 0) return begin;
    const count = Number(text.slice(at + 1, line));
    at = line + 2;
    const words = [];
    for (let i = 0; i < count; i++) {
      const end = text.indexOf("\r\n", at);
      if (end < 0) return begin;
      const size = Number(text.slice(at + 1, end));
      if (text.length < end + 2 + size + 2) return begin;
      words.push(text.slice(end + 2, end + 2 + size));
      at = end + 2 + size + 2;
    }
    yield words;
  }
  return at;
}

const encode = (value) => {
  if (value === null) return "$-1\r\n";
  if (typeof value === "number") return `:${value}\r\n`;
  if (value instanceof Error) return `-${value.message}\r\n`;
  if (Array.isArray(value)) return `*${value.length}\r\n${value.map(encode).join("")}`;
  return `$${Buffer.byteLength(value, "latin1")}\r\n${value}\r\n`;
};

export async function fakeRedis() {
  const sockets = new Set();
  const fake = {
    url: "",
    topology: ["1", "16", null],
    outcomes: ["0", "0", "0", "0", "0", "0"],
    lag: 0,
    /** @type {string[][]} */
    added: [],
    /** Answers an XADD; by default accepts it. @type {(words: string[]) => unknown} */
    onAdd: () => "1-0",
    /** So many of the next answers to XADD are not sent: the connection is cut. */
    cut: 0,
    subscribed: new Map(),
    publish(channel, text) {
      for (const socket of fake.subscribed.get(channel) ?? []) socket.write(encode(["message", channel, text]), "latin1");
    },
    cutAll() {
      for (const socket of sockets) socket.destroy();
    },
    async close() {
      fake.cutAll();
      await new Promise((done) => server.close(done));
    },
  };
  const answer = (words, socket) => {
    const word = words[0].toUpperCase();
    if (word === "HMGET") return words[1].endsWith("topology") ? fake.topology : fake.outcomes;
    if (word === "HSETNX") {
      fake.topology[words[2] === "version" ? 0 : 1] ??= words[3];
      return 1;
    }
    if (word === "XINFO") return [["name", "maze", "lag", fake.lag]];
    if (word === "XLEN") return 0;
    if (word === "XADD") {
      fake.added.push(words);
      return fake.onAdd(words);
    }
    if (word === "PING") return "PONG";
    return "OK";
  };
  const subscribe = (channels, socket) => {
    for (const [i, channel] of channels.entries()) {
      if (!fake.subscribed.has(channel)) fake.subscribed.set(channel, new Set());
      fake.subscribed.get(channel).add(socket);
      socket.write(encode(["subscribe", channel, i + 1]), "latin1");
    }
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    let rest = "";
    socket.on("error", () => {});
    socket.on("close", () => {
      sockets.delete(socket);
      for (const listeners of fake.subscribed.values()) listeners.delete(socket);
    });
    socket.on("data", (chunk) => {
      rest += chunk.toString("latin1");
      const found = commands(rest);
      let next = found.next();
      for (; !next.done; next = found.next()) {
        const words = next.value;
        if (words[0].toUpperCase() === "SUBSCRIBE") subscribe(words.slice(1), socket);
        else {
          const given = answer(words, socket);
          if (words[0] === "XADD" && fake.cut > 0) {
            fake.cut -= 1;
            return socket.destroy();
          }
          socket.write(encode(given), "latin1");
        }
      }
      rest = rest.slice(next.value ?? 0);
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  fake.url = `redis://127.0.0.1:${server.address().port}`;
  return fake;
}
