/** The webcam: requests it, passes its newest picture to the tracker, and recovers from faults. */

import { Follower } from "./follow.js";
import { Tracker } from "./tracker.js";

/** @typedef {import("./types.js").Sight} Sight */
/**
 * @typedef {"off" | "asking" | "loading" | "watching" | "denied" | "missing" | "busy" | "unplugged" | "insecure"
 *   | "tap" | "stalled" | "failed" | "broken"} CameraState
 */

const WIDTH = 640;
const HEIGHT = 480;
const LOOK_AT_LIGHT_MS = 700;
/** Mean brightness, 0 to 255, below which no tracker finds a hand. */
const DARK = 28;
/** Time without a new picture after which the camera counts as stopped. */
const STALLED_MS = 4000;
const WATCH_MS = 1000;
/** Consecutive failures of the tracker after which it is restarted. */
const MOST_FAULTS = 3;
/** Starts of the tracker after which it counts as broken. */
const MOST_STARTS = 3;
/** Pictures processed without a fault after which the tracker counts as working. */
const SOUND_LOOKS = 60;
/** A tracker at least this fast also looks for a second hand. */
const FAST_MS = 12;
const TIMED_LOOKS = 60;
/** Capture times older than this come from another clock. */
const PLAUSIBLE_MS = 1000;

/** @type {Record<string, CameraState>} what getUserMedia's errors mean */
const STATE_OF_ERROR = {
  NotAllowedError: "denied",
  SecurityError: "denied",
  NotReadableError: "busy",
  AbortError: "busy",
  NotFoundError: "missing",
  OverconstrainedError: "missing",
};

export class Camera {
  /** @type {CameraState} */
  state = "off";
  dark = false;
  /** Pictures that the camera delivered, and those that the tracker processed. */
  counts = { shown: 0, tracked: 0 };
  /** @type {Tracker | null} kept when the camera is turned off */
  #tracker = null;
  /** @type {MediaStream | null} */
  #stream = null;
  /** Counts starts and stops, so that results of an earlier run can be dropped. */
  #generation = 0;
  #busy = false;
  /** @type {{ at: number, captured: number } | null} the newest picture that waits for the tracker */
  #waiting = null;
  #shownAt = 0;
  #faults = 0;
  #starts = 0;
  /** Pictures processed without a fault since the tracker was started. */
  #good = 0;
  /** @type {number[]} */
  #lookMs = [];
  #lightAt = 0;
  #follower = new Follower();
  #light = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  /**
   * @param {HTMLVideoElement} video
   * @param {string} base absolute address of the tracker's files
   * @param {import("./tracker.js").TrackerOptions} options
   * @param {{ seen: (sight: Sight) => void, changed: () => void }} events
   */
  constructor(video, base, options, events) {
    this.video = video;
    this.base = base;
    this.options = options;
    this.events = events;
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#deviceChanged());
    this.#followPermission();
    setInterval(() => this.#watch(), WATCH_MS);
  }

  /** Whether a second hand was seen recently. */
  get seesOthers() {
    return this.#follower.seesOthers(performance.now());
  }

  /** @returns {"worker" | "page" | null} where the tracker runs */
  get place() {
    return this.#tracker?.place ?? null;
  }

  async start() {
    const mine = ++this.#generation;
    this.#release();
    if (!navigator.mediaDevices?.getUserMedia) return this.#become(isSecureContext ? "missing" : "insecure");
    this.#become("asking");
    const stream = await this.#ask(mine);
    if (!stream) return;
    this.#stream = stream;
    for (const track of stream.getVideoTracks()) track.addEventListener("ended", () => this.#ended(mine));
    this.video.srcObject = stream;
    this.video.hidden = false;
    try {
      await this.video.play();
    } catch {
      return this.#mine(mine) && this.#become("tap");
    }
    if (this.#mine(mine)) await this.#track(mine);
  }

  stop() {
    this.#generation++;
    this.#release();
    this.#become("off");
  }

  /** Start again at the player's request, with all counts of failures reset. */
  retry() {
    this.#starts = 0;
    this.#closeTracker();
    this.start();
  }

  /** @param {number} mine */
  #mine(mine) {
    return mine === this.#generation;
  }

  /** Ask for the camera. @param {number} mine @returns {Promise<MediaStream | null>} null if it is unavailable */
  async #ask(mine) {
    try {
      const video = { width: WIDTH, height: HEIGHT, frameRate: { ideal: 30 }, facingMode: "user" };
      const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
      if (this.#mine(mine)) return stream;
      // another input was chosen while the browser asked
      stream.getTracks().forEach((track) => track.stop());
    } catch (fault) {
      const name = fault instanceof DOMException ? fault.name : "";
      if (this.#mine(mine)) this.#become(STATE_OF_ERROR[name] ?? "missing");
    }
    return null;
  }

  #release() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.#waiting = null;
    this.video.srcObject = null;
    this.video.hidden = true;
  }

  /** @param {number} mine */
  async #track(mine) {
    this.#become("loading");
    if (!this.#tracker) {
      const tracker = new Tracker(this.base, this.options, () => this.#trackerLost(tracker));
      this.#starts++;
      this.#tracker = tracker;
      try {
        await tracker.open();
      } catch (fault) {
        console.warn(`the hand tracker did not start: ${fault}`);
        if (this.#tracker === tracker) this.#tracker = null;
        if (!this.#mine(mine)) return;
        this.#generation++;
        this.#release();
        return this.#become("failed");
      }
    }
    if (!this.#mine(mine)) return;
    this.#faults = this.#good = 0;
    this.#busy = false;
    this.#shownAt = performance.now();
    this.#become("watching");
    this.#next(mine);
  }

  #closeTracker() {
    this.#tracker?.close();
    this.#tracker = null;
    this.#busy = false;
    this.#lookMs = [];
  }

  // --- pictures

  /** Wait for the next picture. @param {number} mine */
  #next(mine) {
    if (!this.#mine(mine) || !this.#stream) return;
    if ("requestVideoFrameCallback" in this.video) {
      this.video.requestVideoFrameCallback((_now, news) => this.#shown(mine, capturedAt(news)));
      return;
    }
    const time = /** @type {HTMLVideoElement} */ (this.video).currentTime;
    const look = () => {
      if (!this.#mine(mine)) return;
      if (/** @type {HTMLVideoElement} */ (this.video).currentTime === time) requestAnimationFrame(look);
      else this.#shown(mine, performance.now());
    };
    requestAnimationFrame(look);
  }

  /** Handle a new picture. @param {number} mine @param {number} captured ms of `performance.now` */
  #shown(mine, captured) {
    if (!this.#mine(mine)) return;
    this.#next(mine);
    this.counts.shown++;
    this.#shownAt = performance.now();
    if (this.state === "stalled") this.#become("watching");
    this.#lookAtLight();
    // while the tracker is busy, only the newest picture is kept
    this.#waiting = { at: this.#shownAt, captured };
    this.#look(mine);
  }

  /** @param {number} mine */
  async #look(mine) {
    const picture = this.#waiting;
    const tracker = this.#tracker;
    if (!picture || !tracker || this.#busy || this.state !== "watching" || document.hidden) return;
    this.#busy = true;
    this.#waiting = null;
    const began = performance.now();
    try {
      const aspect = this.video.videoWidth / this.video.videoHeight || WIDTH / HEIGHT;
      const hands = await tracker.look(this.video);
      if (!this.#mine(mine) || tracker !== this.#tracker) return;
      this.#faults = 0;
      if (++this.#good > SOUND_LOOKS) this.#starts = 0;
      this.counts.tracked++;
      this.#found(hands, aspect, picture, began);
    } catch (fault) {
      if (this.#mine(mine) && tracker === this.#tracker) this.#failed(fault);
    } finally {
      if (tracker === this.#tracker) this.#busy = false;
    }
    if (this.#mine(mine)) this.#look(mine);
  }

  /**
   * @param {import("./follow.js").Hand[]} hands
   * @param {number} aspect
   * @param {{ at: number, captured: number }} picture
   * @param {number} began when the tracker began to look
   */
  #found(hands, aspect, picture, began) {
    const now = performance.now();
    const hand = this.#follower.choose(hands, aspect, picture.captured);
    this.#timeLooks(now - began);
    this.events.seen({
      points: hand?.points ?? null,
      aspect,
      left: hand?.left ?? false,
      captured: performance.timeOrigin + picture.captured,
      stages: { camera: began - picture.captured, tracker: now - began },
    });
  }

  /** @param {number} ms */
  #timeLooks(ms) {
    if (this.#lookMs.length >= TIMED_LOOKS) return;
    this.#lookMs.push(ms);
    const middle = [...this.#lookMs].sort((a, b) => a - b)[TIMED_LOOKS / 2];
    if (this.#lookMs.length === TIMED_LOOKS && middle < FAST_MS) this.#tracker?.lookForTwo();
  }

  // --- faults

  /** @param {unknown} fault */
  #failed(fault) {
    console.warn(`the hand tracker failed on a picture: ${fault}`);
    if (++this.#faults >= MOST_FAULTS) this.#restartTracker();
  }

  /** @param {Tracker} tracker */
  #trackerLost(tracker) {
    if (tracker === this.#tracker) this.#restartTracker();
  }

  #restartTracker() {
    this.#closeTracker();
    if (this.state !== "watching") return;
    if (this.#starts < MOST_STARTS) {
      this.#track(++this.#generation);
      return;
    }
    this.#generation++;
    this.#release();
    this.#become("broken");
  }

  /** The stream ended by itself: unplugged, or the permission was withdrawn. @param {number} mine */
  async #ended(mine) {
    if (!this.#mine(mine)) return;
    this.#generation++;
    this.#release();
    this.#become((await permission())?.state === "denied" ? "denied" : "unplugged");
  }

  #deviceChanged() {
    if (this.state === "missing" || this.state === "unplugged") this.start();
  }

  async #followPermission() {
    const status = await permission();
    status?.addEventListener("change", () => {
      if (status.state === "granted" && this.state === "denied") this.start();
      if (status.state === "denied" && this.#stream) {
        this.#generation++;
        this.#release();
        this.#become("denied");
      }
    });
  }

  #watch() {
    if (document.hidden) this.#shownAt = performance.now();
    else if (this.state === "watching" && performance.now() - this.#shownAt > STALLED_MS) this.#become("stalled");
  }

  #lookAtLight() {
    const now = performance.now();
    if (now - this.#lightAt < LOOK_AT_LIGHT_MS || !this.#light) return;
    this.#lightAt = now;
    this.#light.drawImage(this.video, 0, 0, 16, 12);
    const { data } = this.#light.getImageData(0, 0, 16, 12);
    let sum = 0;
    for (let at = 0; at < data.length; at += 4) sum += data[at] + data[at + 1] + data[at + 2];
    const dark = sum / (data.length / 4) / 3 < DARK;
    if (dark === this.dark) return;
    this.dark = dark;
    this.events.changed();
  }

  /** @param {CameraState} state */
  #become(state) {
    this.state = state;
    this.events.changed();
  }
}

/** @returns {Promise<PermissionStatus | null>} null where the browser does not tell */
async function permission() {
  try {
    return await navigator.permissions.query({ name: /** @type {PermissionName} */ ("camera") });
  } catch {
    return null;
  }
}

/** When a picture was taken, ms of `performance.now`. @param {VideoFrameCallbackMetadata} news */
function capturedAt(news) {
  const now = performance.now();
  const captured = news.captureTime ?? news.presentationTime;
  return captured <= now && now - captured < PLAUSIBLE_MS ? captured : now;
}
