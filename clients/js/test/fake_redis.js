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

class FakeRedis {
  url = "";
  topology = ["1", "16", null];
  outcomes = ["0", "0", "0", "0", "0", "0"];
  lag = 0;
  /** @type {string[][]} */
  added = [];
  /** How many of the next XADDs get no answer: the connection is cut instead. */
  cut = 0;
  subscribed = new Map();
  #sockets = new Set();
  #server = createServer((socket) => this.#accept(socket));

  /** Answers an XADD; by default accepts it. @type {(words: string[]) => unknown} */
  onAdd = () => "1-0";

  async listen() {
    await new Promise((done) => this.#server.listen(0, "127.0.0.1", done));
    this.url = `redis://127.0.0.1:${this.#server.address().port}`;
    return this;
  }

  publish(channel, text) {
    for (const socket of this.subscribed.get(channel) ?? []) socket.write(encode(["message", channel, text]), "latin1");
  }

  cutAll() {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close() {
    this.cutAll();
    await new Promise((done) => this.#server.close(done));
  }

  #accept(socket) {
    this.#sockets.add(socket);
    let rest = "";
    socket.on("error", () => {});
    socket.on("close", () => {
      this.#sockets.delete(socket);
      for (const listeners of this.subscribed.values()) listeners.delete(socket);
    });
    socket.on("data", (chunk) => {
      rest += chunk.toString("latin1");
      const found = commands(rest);
      let next = found.next();
      for (; !next.done && !socket.destroyed; next = found.next()) this.#run(next.value, socket);
      rest = next.done ? rest.slice(next.value) : "";
    });
  }

  #run(words, socket) {
    const word = words[0].toUpperCase();
    if (word === "SUBSCRIBE") return this.#subscribe(words.slice(1), socket);
    const given = this.#answer(word, words);
    if (word === "XADD" && this.cut > 0) {
      this.cut -= 1;
      socket.destroy();
    } else {
      socket.write(encode(given), "latin1");
    }
  }

  #subscribe(channels, socket) {
    for (const [i, channel] of channels.entries()) {
      if (!this.subscribed.has(channel)) this.subscribed.set(channel, new Set());
      this.subscribed.get(channel).add(socket);
      socket.write(encode(["subscribe", channel, i + 1]), "latin1");
    }
  }

  #answer(word, words) {
    if (word === "HMGET") return words[1].endsWith("topology") ? this.topology : this.outcomes;
    if (word === "HSETNX") {
      this.topology[words[2] === "version" ? 0 : 1] ??= words[3];
      return 1;
    }
    if (word === "XINFO") return [["name", "maze", "lag", this.lag]];
    if (word === "XLEN") return 0;
    if (word === "XADD") {
      this.added.push(words);
      return this.onAdd(words);
    }
    if (word === "PING") return "PONG";
    return "OK";
  }
}

export const fakeRedis = () => new FakeRedis().listen();
