// Sends frames: number, plan, guard, send, try again. What is promised is in docs/wire.md.

import { ErrorReply } from "redis";
import { InputCheck, OUTCOMES, OutcomeWatch } from "./checks.js";
import { Connection, sleep } from "./connection.js";
import { add, checkFrames, lagOf, plan, raise, readLag } from "./entries.js";
import { Backpressure, ConnectionLost, MazeError, ProducerClosed, RedisRefused, SendError, SendLost, SendRefused, SettingsError, refusal } from "./errors.js";
import { Replies } from "./replies.js";
import { isPartitions, topologyOf } from "./topology.js";
import { TOPOLOGY, WIRE_VERSION, checkFrame, outcomesKey, shown } from "./wire.js";

/** @typedef {import("./wire.js").Frame} Frame */
/** @typedef {import("./wire.js").NumberedFrame} NumberedFrame */
/** @typedef {import("./connection.js").Command} Command */
/** @typedef {import("./entries.js").Entry} Entry */
/**
 * @typedef {object} Options
 * @property {string} [url] `redis://127.0.0.1:6379` by default
 * @property {number} [partitions] by default what Redis holds; given, it is written into an empty Redis
 * @property {number} [maxLag] entries that a partition may be behind before frames for it are refused
 * @property {number} [guardIntervalMs] how old a reading of the lag may be
 * @property {number} [retries] how often a send is tried again after a missing answer
 * @property {number} [timeoutMs] longest wait for a connection or an answer, and for momentary refusals to end
 * @property {number} [releaseMs] `release_ms` of the pool's decision policy
 * @property {boolean} [replyChannel] the replies to a tick come in one message per entry where one listener is
 *   subscribed to all its sessions; switch it off where other programs listen to the same sessions
 * @property {string} [name] of the connections, as CLIENT LIST shows it
 * @property {(sentence: string) => void} [onWarning] `console.warn` by default
 */

const DEFAULTS = {
  url: "redis://127.0.0.1:6379",
  partitions: /** @type {number | undefined} */ (undefined),
  maxLag: 10_000,
  guardIntervalMs: 250,
  retries: 2,
  timeoutMs: 1000,
  releaseMs: 250,
  replyChannel: true,
  name: "gesture-maze-js",
  onWarning: (/** @type {string} */ sentence) => console.warn(`gesture-maze: ${sentence}`),
};
const MOST_QUEUED = 64;
const MOST_KNOWN = 65_536;
const REPEAT_MS = 2000;

/** @param {number} tries */
const pause = (tries) => sleep(Math.min(250, 50 * 2 ** Math.min(tries - 1, 10)) * (0.5 + Math.random()));

/** Sends frames to a pool and listens for the replies. */
export class FrameProducer {
  #connection;
  #watch;
  #check;
  /** @type {number | null} */
  #partitions = null;
  #compact = false;
  #confirmed = false;
  /** @type {Map<number, { lag: number, readMs: number }>} */
  #guard = new Map();
  /** @type {Map<string, number>} */
  #lastSeq = new Map();
  /** @type {Map<string, import("./wire.js").SessionSettings>} */
  #settings = new Map();
  /** @type {Map<string, number>} when the settings of a session are sent again, ms */
  #repeatAt = new Map();
  /** @type {Set<Replies>} */
  #listeners = new Set();
  #closed = false;
  #queue = Promise.resolve();
  #queued = 0;

  /** @param {Options} [options] */
  constructor(options = {}) {
    if (typeof options !== "object" || options === null) throw new SettingsError("settings", `expected options, got ${shown(options)}: for an address pass { url: "redis://127.0.0.1:6379" }`);
    const unknown = Object.keys(options).filter((name) => !(name in DEFAULTS));
    if (unknown.length) throw new SettingsError("settings", `unknown options ${unknown.join(", ")}; known are ${Object.keys(DEFAULTS).join(", ")}`);
    this.options = { ...DEFAULTS, ...options };
    const given = this.options.partitions;
    if (given !== undefined && !isPartitions(given)) throw new SettingsError("settings", `partitions must be a power of two from 1 to 1024, got ${given}`);
    this.#connection = new Connection(this.options.url, this.options);
    this.#watch = new OutcomeWatch((session) => this.#seqOfLastReply(session), this.options.onWarning);
    this.#check = new InputCheck(this.options.onWarning);
  }

  /** Agrees with the pool on the number of partitions, and returns it. Sends do it themselves. */
  async connect() {
    if (this.#closed) throw new ProducerClosed("producer");
    return this.#inTurn(() => this.#join());
  }

  /** @param {Frame} frame */
  async send(frame) {
    await this.sendTick([frame]);
  }

  /**
   * Sends a tick: one entry per partition, all in one round trip. Sends are carried out one after the other.
   * @param {readonly Frame[]} frames
   * @throws {import("./errors.js").FrameError} a frame breaks the contract; none was sent
   * @throws {Backpressure} `error.frames` were not accepted; drop them
   * @throws {SendRefused} Redis answered with an error; `error.frames` were not accepted
   * @throws {SendLost} whether `error.frames` were accepted is unknown
   */
  async sendTick(frames) {
    if (this.#closed) throw new ProducerClosed("producer");
    checkFrames(frames);
    const numbered = frames.map((frame) => this.#number(frame));
    for (const frame of numbered) checkFrame(frame);
    if (this.#queued >= MOST_QUEUED)
      throw new Backpressure("lag", `${this.#queued} sends are waiting for Redis already: await each send, or send less`, numbered);
    try {
      await this.#inTurn(() => this.#deliver(this.#withSettings(numbered)));
    } catch (error) {
      if (error instanceof SendError) for (const { session } of error.frames) this.#repeatAt.has(session) && this.#repeatAt.set(session, 0);
      throw error;
    }
  }

  /**
   * Listens for the replies to sessions, on a connection of its own. It is subscribed when this resolves.
   * @param {...string} sessions
   */
  async actions(...sessions) {
    const partitions = await this.connect();
    const replies = new Replies(this.options.url, { ...this.options, partitions, onClose: (one) => this.#listeners.delete(one) });
    this.#listeners.add(replies);
    try {
      await replies.subscribe(...sessions);
    } catch (error) {
      await replies.close();
      throw error;
    }
    return replies;
  }

  /** Closes all connections, those of listeners too. */
  async close() {
    this.#closed = true;
    await this.#queue;
    for (const replies of [...this.#listeners]) await replies.close();
    this.#connection.drop();
  }

  /** @template T @param {() => Promise<T>} work @returns {Promise<T>} */
  #inTurn(work) {
    this.#queued += 1;
    const done = this.#queue.then(work).finally(() => {
      this.#queued -= 1;
    });
    this.#queue = done.then(
      () => {},
      () => {},
    );
    return done;
  }

  /** @param {Frame} frame @returns {NumberedFrame} */
  #number(frame) {
    if (frame.seq !== undefined && frame.t !== undefined) return /** @type {NumberedFrame} */ (frame);
    const now = Date.now();
    let { seq } = frame;
    if (seq === undefined) {
      seq = Math.max(now, (this.#lastSeq.get(frame.session) ?? -1) + 1);
      this.#lastSeq.set(frame.session, seq);
      if (this.#lastSeq.size > MOST_KNOWN) for (const [session, last] of this.#lastSeq) if (last < now) this.#lastSeq.delete(session);
    }
    return { ...frame, seq, t: frame.t ?? now };
  }

  /**
   * Repeats the settings of sessions every few seconds, so that a worker that takes a session over finds them.
   * @param {NumberedFrame[]} frames
   */
  #withSettings(frames) {
    const now = Date.now();
    return frames.map((frame) => {
      const { session, settings } = frame;
      if (settings) {
        this.#settings.delete(session);
        this.#settings.set(session, settings);
        if (this.#settings.size > MOST_KNOWN) {
          const [oldest] = this.#settings.keys();
          this.#settings.delete(oldest);
          this.#repeatAt.delete(oldest);
        }
        this.#repeatAt.set(session, now + REPEAT_MS);
        return frame;
      }
      const known = this.#settings.get(session);
      if (!known || (this.#repeatAt.get(session) ?? 0) > now) return frame;
      this.#repeatAt.set(session, now + REPEAT_MS);
      if (!Object.keys(known).length) {
        this.#settings.delete(session);
        this.#repeatAt.delete(session);
      }
      return { ...frame, settings: known };
    });
  }

  /** @param {string} session */
  #seqOfLastReply(session) {
    const found = [...this.#listeners].map((one) => one.lastSeq(session)).filter((seq) => seq !== null);
    return found.length ? Math.max(...found) : null;
  }

  // --- topology

  async #join() {
    if (this.#confirmed && this.#partitions !== null) return this.#partitions;
    let found = await this.#readTopology();
    const given = this.options.partitions;
    if (!found && given !== undefined) {
      const write = [TOPOLOGY, "version", String(WIRE_VERSION)];
      await this.#ask([["HSETNX", ...write], ["HSETNX", TOPOLOGY, "partitions", String(given)]]);
      found = await this.#readTopology();
    }
    // Redis was emptied: continue with the number that it held, until a pool has written it again
    if (!found && this.#partitions !== null) return this.#partitions;
    for (const endMs = Date.now() + this.options.timeoutMs; !found && Date.now() < endMs; found = await this.#readTopology()) await sleep(50);
    if (!found) throw new ConnectionLost("no_pool", `no worker has started on this Redis within ${this.options.timeoutMs} ms (${TOPOLOGY} is not written): start \`maze worker\` and try again, or pass partitions: 16`);
    this.#agree(found);
    return found.partitions;
  }

  async #readTopology() {
    const [answer] = await this.#ask([["HMGET", TOPOLOGY, "version", "partitions", "compact"]]);
    return topologyOf(answer);
  }

  /** @param {{ version: number, partitions: number, compact: boolean }} found */
  #agree({ version, partitions, compact }) {
    if (version !== WIRE_VERSION) throw new SettingsError("topology", `Redis holds frames of wire version ${version}; this client writes ${WIRE_VERSION}`);
    if (!isPartitions(partitions)) throw new SettingsError("topology", `${TOPOLOGY} in Redis holds ${partitions} partitions, not a power of two`);
    const known = this.#partitions ?? this.options.partitions;
    if (known !== undefined && known !== partitions)
      throw new SettingsError("topology", `Redis has ${partitions} partitions, this client was using ${known}: leave the number out, and restart this program`);
    this.#partitions = partitions;
    this.#compact = compact;
    this.#confirmed = true;
  }

  /**
   * Asks until Redis answers, or the attempts are used up. Terminal errors are raised.
   * @param {Command[]} commands
   */
  async #ask(commands) {
    const beginMs = Date.now();
    for (let tries = 1; ; tries++) {
      const [answers, fault] = await this.#attempt(commands);
      const refused = answers.map((answer, i) => this.#refused(answer, commands[i])).find((one) => one && one.error.reason !== "memory");
      if (!fault && !refused) return answers;
      const error = fault ?? /** @type {{ error: RedisRefused }} */ (refused).error;
      if (error instanceof RedisRefused && !error.momentary) throw error;
      if (!this.#mayRetry(tries, beginMs, error instanceof RedisRefused)) throw error;
      await pause(tries);
    }
  }

  /** @param {Command[]} commands @returns {Promise<[unknown[], MazeError | null]>} */
  async #attempt(commands) {
    try {
      return [await this.#connection.run(commands), null];
    } catch (error) {
      if (error instanceof ConnectionLost || error instanceof RedisRefused) return [[], error];
      throw error;
    }
  }

  /** @param {unknown} answer @param {Command} command */
  #refused(answer, command) {
    if (!(answer instanceof ErrorReply)) return null;
    const found = refusal(answer.message, `${command[0]} ${command[1]}`);
    if (found.reconnect) this.#connection.drop();
    return found;
  }

  /** Missing answers are counted, momentary refusals are timed. @param {number} tries @param {number} beginMs @param {boolean} refused */
  #mayRetry(tries, beginMs, refused) {
    return tries <= this.options.retries || (refused && Date.now() - beginMs < this.options.timeoutMs);
  }

  // --- sending

  /** @param {NumberedFrame[]} frames */
  async #deliver(frames) {
    if (!frames.length) return;
    this.#check.look(frames[0], Date.now());
    const entries = await this.#prepare(frames);
    const full = entries.filter((one) => this.#isFull(one.partition));
    let waiting = entries.filter((one) => !full.includes(one));
    const beginMs = Date.now();
    /** @type {Entry[]} */
    const refused = [];
    for (let tries = 1; waiting.length; tries++) {
      const { again, done, lost } = await this.#round(waiting);
      refused.push(...done);
      waiting = again;
      if (!waiting.length) break;
      if (!this.#mayRetry(tries, beginMs, !lost)) break;
      await pause(tries);
    }
    raise(full, [...refused, ...waiting], this.options.maxLag);
  }

  /** What comes before anything is sent: where it fails, no frame was sent. @param {NumberedFrame[]} frames */
  async #prepare(frames) {
    try {
      const partitions = await this.#join();
      const entries = plan(frames, partitions);
      const stale = entries.map((one) => one.partition).filter((one) => this.#isFull(one) && this.#isDue(one, Date.now()));
      if (stale.length) this.#noteLag(stale, (await this.#attempt(stale.flatMap(readLag)))[0]);
      return entries;
    } catch (error) {
      if (error instanceof ConnectionLost) throw new SendLost(error.reason, `${error.message}: no frame was sent`, frames, false);
      if (error instanceof RedisRefused) throw new SendRefused(error.reason, error.message, frames, error.momentary);
      throw error;
    }
  }

  /** One round trip: the entries, and what the guard and the watch want to know. @param {Entry[]} entries */
  async #round(entries) {
    const nowMs = Date.now();
    const due = [...new Set(entries.map((one) => one.partition))].filter((one) => this.#isDue(one, nowMs));
    for (const { partition, frames } of entries) this.#watch.note(partition, frames.map((one) => one.session));
    const watched = this.#watch.due(nowMs);
    const adds = entries.map((one) => add(one, this.#compact, this.#replyTo(one)));
    const counters = watched.map((one) => ["HMGET", outcomesKey(one), ...OUTCOMES]);
    const lags = due.flatMap(readLag);
    /** @type {Command[]} */
    const topology = due.length ? [["HMGET", TOPOLOGY, "version", "partitions", "compact"]] : [];
    const [answers, fault] = await this.#attempt([...adds, ...counters, ...lags, ...topology]);
    if (fault instanceof RedisRefused) for (const one of entries) one.fault = fault;
    if (fault) {
      const lost = !(fault instanceof RedisRefused);
      if (lost) for (const one of entries) one.doubtful = true;
      return fault instanceof RedisRefused && !fault.momentary ? { again: [], done: entries, lost } : { again: entries, done: [], lost };
    }
    watched.forEach((one, i) => this.#watch.read(one, answers[adds.length + i], nowMs));
    const at = adds.length + counters.length;
    this.#noteLag(due, answers.slice(at, at + lags.length));
    if (topology.length) this.#compare(answers.at(-1));
    return { ...this.#sort(entries, adds, answers), lost: false };
  }

  /** The reply channel for a tick: that of a listener to all its sessions, if no other one listens to any. @param {Entry} entry */
  #replyTo({ partition, frames }) {
    const sessions = frames.map((one) => one.session);
    const found = [...this.#listeners].filter((one) => one.wantsAny(sessions));
    return this.options.replyChannel && frames.length > 1 && found.length === 1 && found[0].takesAll(partition, sessions) ? found[0].replyTo : "";
  }

  /** @param {Entry[]} entries @param {Command[]} adds @param {unknown[]} answers */
  #sort(entries, adds, answers) {
    /** @type {Entry[]} */
    const again = [];
    /** @type {Entry[]} */
    const done = [];
    entries.forEach((entry, i) => {
      const found = this.#refused(answers[i], adds[i]);
      if (!found) return;
      entry.fault = found.error;
      (found.error.momentary && found.error.reason !== "memory" ? again : done).push(entry);
    });
    return { again, done };
  }

  /** @param {unknown} answer */
  #compare(answer) {
    let found = null;
    try {
      found = topologyOf(answer);
    } catch {
      // the next send reports what is wrong
    }
    if (!found || found.partitions !== this.#partitions || found.version !== WIRE_VERSION) this.#confirmed = false;
    else this.#compact = found.compact;
  }

  /** @param {number} partition */
  #isFull(partition) {
    return (this.#guard.get(partition)?.lag ?? 0) > this.options.maxLag;
  }

  /** @param {number} partition @param {number} nowMs */
  #isDue(partition, nowMs) {
    return nowMs - (this.#guard.get(partition)?.readMs ?? -Infinity) >= this.options.guardIntervalMs;
  }

  /** @param {number[]} partitions @param {unknown[]} answers two per partition */
  #noteLag(partitions, answers) {
    if (answers.length < 2 * partitions.length) return;
    partitions.forEach((one, i) => this.#guard.set(one, { lag: lagOf(answers[2 * i], answers[2 * i + 1]), readMs: Date.now() }));
  }
}
