// One connection to Redis that tells an answer of Redis (also an error) from a missing answer, and never retries.

import { createClient, ErrorReply } from "redis";
import { ConnectionLost, SettingsError, refusal } from "./errors.js";

/** @typedef {(string | Buffer)[]} Command */
/** @typedef {{ name: string, timeoutMs: number }} ConnectionOptions */

/** @param {number} ms */
export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/**
 * @template T
 * @param {Promise<T>} promise
 * @param {number} ms
 * @returns {Promise<T>}
 */
export async function within(promise, ms) {
  promise.catch(() => {}); // it may still fail when nothing waits for it any more
  let timer;
  const late = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, /** @type {Promise<never>} */ (late)]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * A client of node-redis that is connected, or an error.
 * @param {string} url
 * @param {ConnectionOptions} options
 * @param {(error: Error) => void} onLost called at most once, when the open connection is lost
 */
export async function open(url, { name, timeoutMs }, onLost) {
  const socket = { connectTimeout: timeoutMs, reconnectStrategy: /** @type {const} */ (false) };
  let client;
  try {
    client = createClient({ url, name, RESP: 2, disableOfflineQueue: true, socket });
  } catch (error) {
    throw new SettingsError("settings", `Redis URL: ${/** @type {Error} */ (error).message}`);
  }
  let connected = false;
  /** @type {Error | null} */
  let failure = null;
  /** @param {Error} error */
  const report = (error) => {
    if (connected && !failure) onLost(error);
    failure ??= error;
  };
  client.on("error", report);
  client.on("end", () => report(new Error("the connection was closed")));
  try {
    await within(client.connect(), timeoutMs * 2);
    if (failure) throw failure;
  } catch (error) {
    discard(client);
    if (error instanceof ErrorReply) throw refusal(error.message, "the connection").error;
    throw new ConnectionLost("connection", `Redis cannot be reached: ${/** @type {Error} */ (error).message}`);
  }
  connected = true;
  return client;
}

/** @typedef {Awaited<ReturnType<typeof open>>} Client */

/** Closes without waiting. @param {Client} client */
export function discard(client) {
  try {
    client.destroy();
  } catch {
    // it was closed already
  }
}

export class Connection {
  /** @type {Client | null} */
  #client = null;

  /** @param {string} url @param {ConnectionOptions} options */
  constructor(url, options) {
    this.url = url;
    this.options = options;
  }

  /**
   * Runs commands in one round trip.
   * @param {Command[]} commands
   * @returns {Promise<unknown[]>} one answer per command; an `ErrorReply` where Redis answered with an error
   * @throws {ConnectionLost} there was no answer: what became of the commands is unknown
   */
  async run(commands) {
    if (!this.#client) {
      /** @type {Client} */
      const opened = await open(this.url, this.options, () => {
        if (this.#client === opened) this.#client = null;
      });
      this.#client = opened;
    }
    const client = this.#client;
    const answers = commands.map((command) =>
      client.sendCommand(command).catch((error) => {
        if (error instanceof ErrorReply) return error;
        throw error;
      }),
    );
    try {
      return await within(Promise.all(answers), this.options.timeoutMs);
    } catch (error) {
      this.drop();
      throw new ConnectionLost("connection", /** @type {Error} */ (error).message);
    }
  }

  /** Closes the connection; the next `run` opens another. */
  drop() {
    const client = this.#client;
    this.#client = null;
    if (client) discard(client);
  }
}
