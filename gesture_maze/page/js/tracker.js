/** MediaPipe Hands, in a worker if the browser supports it, else on the page's own thread. */

/** @typedef {import("./types.js").Point} Point */
/** @typedef {import("./follow.js").Hand} Hand */

/**
 * @typedef {object} TrackerOptions
 * @property {boolean} cpu compute without a graphics processor
 * @property {number} model 0 lite, 1 full
 * @property {boolean} worker off the main thread if possible
 */

const SURE = 0.6;
/** The first picture compiles shaders, which takes seconds on a slow phone. */
const FIRST_LOOK_MS = 30_000;
const LOOK_MS = 5000;
const OPEN_MS = 60_000;

/** @param {TrackerOptions} options @param {number} hands most hands to look for */
function settings(options, hands) {
  return {
    maxNumHands: hands,
    modelComplexity: options.model,
    minDetectionConfidence: SURE,
    minTrackingConfidence: 0.5,
    selfieMode: false,
    // not in its type declarations: for machines without a graphics processor, and for tests
    ...(options.cpu ? { useCpuInference: true } : {}),
  };
}

/**
 * @param {any} found what the library found: landmarks and handedness by hand
 * @returns {Hand[]}
 */
function handsOf(found) {
  if (!found) return [];
  return found.landmarks.map((/** @type {any[]} */ points, /** @type {number} */ at) => ({
    points: points.map((point) => /** @type {Point} */ ([point.x, point.y, point.z])),
    // the tracker assumes a mirrored picture; this one is not, so its left hand is a right hand
    left: found.handedness[at]?.label === "Right",
  }));
}

/** @template T @param {Promise<T>} work @param {number} ms @param {string} what @returns {Promise<T>} */
function within(work, ms, what) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${what} took more than ${ms / 1000} s`)), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** One running tracker. `lost` is called when its graphics context is gone: it no longer finds hands. */
export class Tracker {
  /** @type {"worker" | "page"} */
  place = "page";
  #looks = 0;
  /** @type {WorkerHands | PageHands | null} */
  #hands = null;

  /** @param {string} base absolute address of the tracker's files @param {TrackerOptions} options @param {() => void} lost */
  constructor(base, options, lost) {
    this.base = base;
    this.options = options;
    this.lost = lost;
  }

  async open() {
    if (this.options.worker && typeof OffscreenCanvas === "function" && typeof Worker === "function") {
      try {
        return await this.#start(new WorkerHands(this.lost), "worker");
      } catch (fault) {
        console.warn(`the hand tracker cannot run in a worker: ${fault}`);
      }
    }
    await this.#start(new PageHands(this.lost), "page");
  }

  /** @param {WorkerHands | PageHands} hands @param {"worker" | "page"} place */
  async #start(hands, place) {
    try {
      await within(hands.open(this.base, settings(this.options, 1)), OPEN_MS, "loading the hand tracker");
    } catch (fault) {
      hands.close();
      throw fault;
    }
    this.place = place;
    this.#hands = hands;
  }

  /** @param {HTMLVideoElement} video @returns {Promise<Hand[]>} */
  async look(video) {
    if (!this.#hands) throw new Error("the hand tracker is not open");
    const limit = this.#looks++ ? LOOK_MS : FIRST_LOOK_MS;
    return handsOf(await within(this.#hands.look(video), limit, "looking at a picture"));
  }

  /** Also look for a second hand; this makes the tracker slower while there is one hand only. */
  lookForTwo() {
    this.#hands?.set(settings(this.options, 2));
  }

  close() {
    this.#hands?.close();
    this.#hands = null;
  }
}

class WorkerHands {
  #worker = new Worker(new URL("./tracker-worker.js", import.meta.url));
  /** @type {{ resolve: (found: any) => void, reject: (fault: Error) => void } | null} */
  #waiting = null;

  /** @param {() => void} lost */
  constructor(lost) {
    this.#worker.onmessage = ({ data }) => {
      if (data.kind === "lost") return lost();
      const waiting = this.#waiting;
      this.#waiting = null;
      if (data.kind === "failed") waiting?.reject(new Error(data.detail));
      else waiting?.resolve(data.found);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#waiting?.reject(new Error(event.message || "the worker could not be started"));
      this.#waiting = null;
    };
  }

  /** @param {object} message @param {Transferable[]} [parts] @returns {Promise<any>} */
  #ask(message, parts = []) {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#worker.postMessage(message, parts);
    });
  }

  /** @param {string} base @param {object} options */
  open(base, options) {
    return this.#ask({ kind: "open", base, options });
  }

  /** @param {HTMLVideoElement} video */
  async look(video) {
    const image = await createImageBitmap(video);
    return this.#ask({ kind: "look", image }, [image]);
  }

  /** @param {object} options */
  set(options) {
    this.#worker.postMessage({ kind: "options", options });
  }

  close() {
    this.#worker.terminate();
  }
}

class PageHands {
  /** @type {any} */
  #hands = null;
  /** @type {any} */
  #found = null;

  /** @param {() => void} lost */
  constructor(lost) {
    this.lost = lost;
  }

  /** @param {string} base @param {object} options */
  async open(base, options) {
    await loadScript(`${base}hands.js`);
    const hands = new (/** @type {any} */ (window).Hands)({ locateFile: (/** @type {string} */ file) => base + file });
    hands.setOptions(options);
    hands.onResults((/** @type {any} */ results) => {
      this.#found = { landmarks: results.multiHandLandmarks ?? [], handedness: results.multiHandedness ?? [] };
    });
    const restore = watchCanvases(this.lost);
    await hands.initialize().finally(restore);
    this.#hands = hands;
  }

  /** @param {HTMLVideoElement} video */
  async look(video) {
    this.#found = null;
    await this.#hands.send({ image: video });
    return this.#found;
  }

  /** @param {object} options */
  set(options) {
    this.#hands?.setOptions(options);
  }

  close() {
    this.#hands?.close?.();
    this.#hands = null;
  }
}

/** Report lost contexts of canvases made from now on. @param {() => void} lost @returns {() => void} ends it */
function watchCanvases(lost) {
  const create = document.createElement;
  document.createElement = /** @type {typeof create} */ (
    (/** @type {string} */ kind, /** @type {ElementCreationOptions | undefined} */ options) => {
      const made = create.call(document, kind, options);
      if (kind === "canvas") made.addEventListener("webglcontextlost", lost);
      return made;
    }
  );
  return () => {
    document.createElement = create;
  };
}

/** @param {string} source @returns {Promise<void>} */
function loadScript(source) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    script.crossOrigin = "anonymous";
    script.onload = () => resolve();
    script.onerror = () => reject(new Error("the hand tracker could not be loaded"));
    document.head.append(script);
  });
}
