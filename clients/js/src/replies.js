// The receiving side: subscriptions that survive lost connections, and replies in order, each once.

import { randomBytes } from "node:crypto";
import { discard, open, sleep, within } from "./connection.js";
import { ConnectionLost, FrameError, ProducerClosed, RedisRefused } from "./errors.js";
import { actionsChannel, isSession, parseReplies, parseReply, partitionOf, replyChannel, shown } from "./wire.js";

/** @typedef {import("./wire.js").Reply} Reply */
/** @typedef {import("./connection.js").Client} Client */

const SILENCE_MS = 3000;
const GRACE_MS = 100;
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1000;
const MOST_WAITING = 10_000;

/**
 * The replies to some sessions: `for await (const reply of replies)`, or `await replies.get(timeoutMs)`.
 * A lost connection is replaced for as long as it takes; what is published meanwhile is lost.
 * @implements {AsyncIterable<Reply>}
 */
export class Replies {
  /** @type {Client | null} */
  #client = null;
  /** @type {Map<string, { channel: string, lastSeq: number, held: NodeJS.Timeout | null }>} */
  #sessions = new Map();
  /** Name of the reply channel of these replies, one in each partition. */
  replyTo = randomBytes(12).toString("base64url");
  /** Reply channels that are subscribed to. @type {Set<string>} */
  #shared = new Set();
  /** @type {Reply[]} */
  #waiting = [];
  /** @type {Set<() => void>} */
  #readers = new Set();
  /** @type {Error | null} */
  #fault = null;
  #closed = false;
  #heardMs = Date.now();
  /** @type {Promise<void> | null} */
  #connecting = null;

  /**
   * @param {string} url
   * @param {{ partitions: number, name: string, timeoutMs: number, releaseMs: number, onClose?: (replies: Replies) => void }} options
   */
  constructor(url, options) {
    this.url = url;
    this.options = options;
    this.#watchSilence();
  }

  /**
   * Listens for more sessions; it is subscribed when this resolves.
   * @param {...string} sessions
   */
  async subscribe(...sessions) {
    if (this.#closed) throw new ProducerClosed("listener");
    const bad = sessions.find((one) => !isSession(one));
    if (bad !== undefined) throw new FrameError("bad_session", `${shown(bad)} is not a session id`);
    const added = sessions.filter((one) => !this.#sessions.has(one));
    for (const session of added) {
      const channel = actionsChannel(partitionOf(session, this.options.partitions), session);
      this.#sessions.set(session, { channel, lastSeq: -1, held: null });
    }
    try {
      if (this.#client) await this.#listen(this.#client, added);
      else await this.#connect();
    } catch (error) {
      for (const session of added) this.#sessions.delete(session);
      throw error;
    }
  }

  /** @param {...string} sessions */
  async unsubscribe(...sessions) {
    for (const session of sessions) {
      const known = this.#sessions.get(session);
      if (!known) continue;
      if (known.held) clearTimeout(known.held);
      this.#sessions.delete(session);
      await this.#client?.unsubscribe(known.channel).catch(() => {});
    }
    this.#waiting = this.#waiting.filter((reply) => this.#sessions.has(reply.session));
  }

  /** Whether any of these sessions is listened for. @param {string[]} sessions */
  wantsAny(sessions) {
    return sessions.some((one) => this.#sessions.has(one));
  }

  /** Whether the replies to these sessions of one partition may go to the reply channel. @param {number} partition @param {string[]} sessions */
  takesAll(partition, sessions) {
    return this.#client !== null && this.#shared.has(replyChannel(partition, this.replyTo)) && sessions.every((one) => this.#sessions.has(one));
  }

  /** Seq of the last reply; -1 before the first, null for a session that is not listened for. @param {string} session */
  lastSeq(session) {
    return this.#sessions.get(session)?.lastSeq ?? null;
  }

  /**
   * The next reply, or null when the time is up or this was closed.
   * @param {number} [timeoutMs] without end by default
   * @returns {Promise<Reply | null>}
   */
  async get(timeoutMs = Infinity) {
    const endMs = Date.now() + timeoutMs;
    while (!this.#waiting.length && !this.#closed) {
      if (this.#fault) throw this.#fault;
      const leftMs = endMs - Date.now();
      if (leftMs <= 0) return null;
      await new Promise((/** @type {(value?: unknown) => void} */ done) => {
        const wake = () => {
          clearTimeout(timer);
          this.#readers.delete(wake);
          done();
        };
        const timer = leftMs === Infinity ? undefined : setTimeout(wake, leftMs);
        this.#readers.add(wake);
      });
    }
    return this.#waiting.shift() ?? null;
  }

  async *[Symbol.asyncIterator]() {
    for (let reply = await this.get(); reply; reply = await this.get()) yield reply;
  }

  async close() {
    this.#closed = true;
    for (const { held } of this.#sessions.values()) if (held) clearTimeout(held);
    if (this.#client) discard(this.#client);
    this.#client = null;
    this.#wake();
    this.options.onClose?.(this);
  }

  #wake() {
    for (const wake of [...this.#readers]) wake();
  }

  #connect() {
    this.#connecting ??= this.#connectOnce().finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  async #connectOnce() {
    /** @type {Client} */
    const client = await open(this.url, this.options, () => this.#lost(client));
    this.#shared.clear();
    try {
      await this.#listen(client, [...this.#sessions.keys()]);
    } catch (error) {
      discard(client);
      throw error;
    }
    if (this.#closed) return discard(client);
    this.#client = client;
    this.#heardMs = Date.now();
  }

  /** @param {Client} client @param {string[]} sessions */
  async #listen(client, sessions) {
    const channels = sessions.map((one) => this.#sessions.get(one)?.channel).filter((one) => one !== undefined);
    if (!channels.length) return;
    const ofPartitions = new Set(sessions.map((one) => replyChannel(partitionOf(one, this.options.partitions), this.replyTo)));
    const shared = [...ofPartitions].filter((one) => !this.#shared.has(one));
    try {
      await within(client.subscribe(channels, (text) => this.#take(parseReply(text))), this.options.timeoutMs);
      if (shared.length) await within(client.subscribe(shared, (text) => this.#takeAll(text)), this.options.timeoutMs);
      for (const one of shared) this.#shared.add(one);
    } catch (error) {
      const message = /** @type {Error} */ (error).message;
      if (/^NOPERM|permission/i.test(message)) throw new RedisRefused("no_permission", `Redis refused SUBSCRIBE ${channels[0]}: ${message}`, false);
      throw new ConnectionLost("connection", `Redis did not confirm all subscriptions, of ${channels.length} sessions: ${message}`);
    }
  }

  /** @param {Client} client */
  #lost(client) {
    if (this.#client !== client || this.#closed) return;
    this.#client = null;
    discard(client);
    void this.#comeBack();
  }

  async #comeBack() {
    for (let attempt = 0; !this.#closed; attempt++) {
      await sleep(Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(attempt, 10)) * (0.5 + Math.random()));
      try {
        return await this.#connect();
      } catch (error) {
        if (error instanceof RedisRefused && !error.momentary) {
          this.#fault = error;
          return this.#wake();
        }
      }
    }
  }

  /** A peer that died without closing the connection is noticed by a PING that is not answered. */
  #watchSilence() {
    const timer = setInterval(async () => {
      if (this.#closed) return clearInterval(timer);
      const client = this.#client;
      if (!client || Date.now() - this.#heardMs < SILENCE_MS) return;
      try {
        await within(client.ping(), SILENCE_MS);
        this.#heardMs = Date.now();
      } catch {
        this.#lost(client);
      }
    }, SILENCE_MS);
    timer.unref();
  }

  /** @param {string} text a message of a reply channel */
  #takeAll(text) {
    for (const reply of parseReplies(text)) this.#take(reply);
  }

  /** @param {Reply | null} reply */
  #take(reply) {
    this.#heardMs = Date.now();
    const known = reply && this.#sessions.get(reply.session);
    if (!reply || !known || reply.seq <= known.lastSeq) return;
    known.lastSeq = reply.seq;
    const holds = reply.move === null ? known.held !== null : reply.move !== "stop";
    if (known.held) clearTimeout(known.held);
    known.held = holds ? setTimeout(() => this.#release(reply, known), this.options.releaseMs + GRACE_MS) : null;
    this.#hand(reply);
  }

  /** The `stop` of a held move whose session gets no more replies. @param {Reply} last @param {{ held: NodeJS.Timeout | null }} known */
  #release(last, known) {
    known.held = null;
    this.#hand({ ...last, gesture: null, label: null, confidence: 0, hand: null, action: null, move: "stop", synthetic: true });
  }

  /** @param {Reply} reply */
  #hand(reply) {
    if (this.#waiting.length >= MOST_WAITING) this.#waiting.shift(); // the program does not read: the oldest is worth least
    this.#waiting.push(reply);
    this.#wake();
  }
}
