/** The webcam and MediaPipe Hands: landmarks of the newest picture. Nothing waits for the tracker. */

/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./types.js").Sight} Sight */
/** @typedef {"off" | "asking" | "loading" | "watching" | "denied" | "missing" | "failed"} CameraState */

const WIDTH = 640;
const HEIGHT = 480;
const SURE = 0.6;
const LOOK_AT_LIGHT_MS = 700;
/** Mean brightness, 0 to 255, below which no tracker finds a hand. */
const DARK = 28;

/** @param {string} source @returns {Promise<void>} */
function load(source) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    script.crossOrigin = "anonymous";
    script.onload = () => resolve();
    script.onerror = () => reject(new Error("the hand tracker could not be loaded"));
    document.head.append(script);
  });
}

export class Camera {
  /** @type {CameraState} */
  state = "off";
  dark = false;
  /** @type {any} MediaPipe's `Hands`, kept when the camera is turned off */
  #hands = null;
  /** @type {MediaStream | null} */
  #stream = null;
  #busy = false;
  #captured = 0;
  #lightAt = 0;
  #light = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  /**
   * @param {HTMLVideoElement} video
   * @param {string} base where the tracker's files are
   * @param {{ cpu: boolean, model: number }} options
   * @param {{ seen: (sight: Sight) => void, changed: () => void }} events
   */
  constructor(video, base, options, events) {
    this.video = video;
    this.base = base;
    this.options = options;
    this.events = events;
  }

  async start() {
    if (this.#stream || this.state === "asking" || this.state === "loading") return;
    this.#become("asking");
    try {
      const wanted = { width: WIDTH, height: HEIGHT, facingMode: "user" };
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    } catch (fault) {
      const name = fault instanceof DOMException ? fault.name : "";
      return this.#become(name === "NotAllowedError" ? "denied" : "missing");
    }
    this.video.srcObject = this.#stream;
    this.video.hidden = false;
    await this.video.play();
    this.#become("loading");
    try {
      this.#hands ??= await this.#tracker();
    } catch {
      this.stop();
      return this.#become("failed");
    }
    this.#become("watching");
    this.#next();
  }

  stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
    this.video.srcObject = null;
    this.video.hidden = true;
    this.#become("off");
  }

  async #tracker() {
    await load(`${this.base}hands.js`);
    const Hands = /** @type {any} */ (window).Hands;
    const hands = new Hands({ locateFile: (/** @type {string} */ file) => this.base + file });
    hands.setOptions({
      maxNumHands: 1,
      modelComplexity: this.options.model,
      minDetectionConfidence: SURE,
      minTrackingConfidence: 0.5,
      selfieMode: false,
      // not in its type declarations: for machines without a graphics processor, and for tests
      ...(this.options.cpu ? { useCpuInference: true } : {}),
    });
    hands.onResults((/** @type {any} */ found) => this.#found(found));
    await hands.initialize();
    return hands;
  }

  #next() {
    if (!this.#stream) return;
    this.video.requestVideoFrameCallback(() => {
      this.#next();
      this.#lookAtLight();
      // the newest picture only: those that come while the tracker is busy are never looked at
      if (this.#busy || this.state !== "watching") return;
      this.#busy = true;
      this.#captured = Date.now();
      this.#hands.send({ image: this.video }).then(() => (this.#busy = false), () => (this.#busy = false));
    });
  }

  /** @param {{ multiHandLandmarks?: { x: number, y: number, z: number }[][], multiHandedness?: { label: string }[] }} found */
  #found(found) {
    const hand = found.multiHandLandmarks?.[0];
    const points = hand ? hand.map((point) => /** @type {Point} */ ([point.x, point.y, point.z])) : null;
    // the tracker takes every picture for a mirrored one; this one is not, so its left is our right
    const left = found.multiHandedness?.[0]?.label === "Right";
    const aspect = this.video.videoWidth / this.video.videoHeight || WIDTH / HEIGHT;
    this.events.seen({ points, aspect, left, captured: this.#captured });
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
